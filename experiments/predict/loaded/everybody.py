"""Several people of a film: who is where at what time, so that a number means the same person in all of its windows."""

from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.found_face import FoundFace
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.grid_frames import grid_frames
from datamodules.media.people_in_picture import PERSON, Followed
from datamodules.media.pictures import read_picture
from datamodules.reading.media_files import kind_of
from datamodules.shapes.grids.window_rules import FPS

Row = Mapping[str, Any]
Places = dict[float, str]  # by time in seconds of the file, in order: where the face is, as `point_of` reads it
FILMS = 64  # of which it is remembered


def people_of(row: Row, stills: bool) -> int:
    """Return how many people a clip shows; 0 of a sound, of what cannot be read, and of a still where none is read."""
    if row.get("file") is not None and kind_of(Path(row["file"])) == "picture":
        with suppress(MediaError):
            return len(find_faces(read_picture(Path(row["file"])))) if stills else 0
    return len(_places(row))


def number_of(row: Row) -> int:
    """Return by which number a clip asks about a person; 0 where it does not."""
    asked = str(row.get(PERSON, ""))
    return int(asked) if asked.isdecimal() else 0


def of_one_person(row: Row, parts: list[Row]) -> list[Row]:
    """Return the parts of a film that is asked about one of its people by number, each with where that one is then.

    A part whose person is not seen has the place of the nearest time. Without a number, or without so many people, the
    parts are as they were.
    """
    number = number_of(row)
    people = _places(row) if number else ()
    return [{**part, PERSON: _at(people[number - 1], part)} for part in parts] if len(people) >= number > 0 else parts


def _at(places: Places, part: Row) -> str:
    """Return where somebody is first in a part, else at the nearest time."""
    start, end = part.get("start") or 0.0, part.get("end") or float("inf")
    times = list(places)
    place = bisect_left(times, start)
    near = times[max(0, place - 1) : place + 1]
    return places[
        times[place] if place < len(times) and times[place] < end else min(near, key=lambda at: abs(at - start))
    ]


def _places(row: Row) -> tuple[Places, ...]:
    """Return where everybody is who is seen in a film; nobody in anything else."""
    path = Path(row.get("file") or "")
    if kind_of(path) != "video" or not path.is_file():
        return ()
    return _found(path, path.stat().st_mtime_ns, row.get("start") or 0.0, row.get("end"))


@lru_cache(maxsize=FILMS)
def _found(path: Path, _: int, start: float, end: float | None) -> tuple[Places, ...]:
    """Return where everybody is in a part of a film, as it is at a time."""
    followed: Followed | None = None
    with suppress(MediaError):  # what was seen until then counts
        steps = grid_frames(path, FPS, start, end)
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
