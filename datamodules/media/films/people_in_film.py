"""Who is where in a film, so that a number means the same person in every window that it is cut into."""

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.found_face import FoundFace
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.grid_frames import grid_frames
from datamodules.media.people_in_picture import Followed
from datamodules.media.segments import Span

Places = dict[float, str]  # by time in seconds of the file, in order: where the face is, as `point_of` reads it
FPS = 5  # pictures of a second that are looked at
FILMS = 64  # of which it is remembered


def people_in_film(path: Path, part: Span) -> tuple[Places, ...]:
    """Return where everybody is in a part of a film, in the order of `Followed.everybody`; nobody if it cannot be read.

    Raises:
        DataError: The package of BlazeFace is missing.
    """
    return _found(path, path.stat().st_mtime_ns, part) if path.is_file() else ()


def places_of(number: int, path: Path, part: Span, windows: Sequence[Span]) -> list[str]:
    """Return where one of the people in a part of a film is in each window of it, as `point_of` reads it.

    A window that does not show the person has the place of the nearest time. Empty where there are not so many people.
    """
    people = people_in_film(path, part) if number else ()
    return [_place(people[number - 1], window) for window in windows] if 0 < number <= len(people) else []


def _place(places: Places, window: Span) -> str:
    """Return where somebody is first in a window, else at the nearest time."""
    start, end = window.start or 0.0, window.end or float("inf")
    times = list(places)
    after = bisect_left(times, start)
    if after < len(times) and times[after] < end:
        return places[times[after]]
    return places[min(times[max(0, after - 1) : after + 1], key=lambda time: abs(time - start))]


@lru_cache(maxsize=FILMS)
def _found(path: Path, _: int, part: Span) -> tuple[Places, ...]:
    """Return who is where in a film as it is at a time."""
    start, followed = part.start or 0.0, None
    with suppress(MediaError):  # what was seen until then counts
        steps = grid_frames(path, FPS, start, part.end)
        for frame in tqdm(steps, desc=f"who is where in {path.name}", unit="picture", disable=None, leave=False):
            followed = followed or Followed("largest", shown_size(frame))
            followed.add(find_faces(to_rgb(frame)))
    if followed is None:
        return ()
    size = 2 * followed.middle
    return tuple({start + step / FPS: _point(face, size) for step, face in one.items()} for one in followed.everybody())


def _point(face: FoundFace, size: np.ndarray) -> str:
    x, y = (face.centre / size).clip(0, 1)
    return f"{x:.4f},{y:.4f}"
