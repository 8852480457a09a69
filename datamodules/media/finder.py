"""The finder of faces, an option of every view that looks for one: OpenCV's Haar cascade, or BlazeFace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from av.video.frame import VideoFrame

from datamodules.errors import DataError, MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.face_networks import check_networks
from datamodules.media.found_face import FoundFace
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.people_in_picture import Followed

Finder = Literal["haar", "blazeface"]
# The options that `haar` has not; a store that it made says nothing of them, as before there was another finder.
OPTIONS = ("finder", "person", "align")


def check_person(option: str, person: str) -> None:
    """Refuse what names no person."""
    if person not in ("largest", "central") and not (person.isdecimal() and int(person)):
        raise DataError(f"{option}.person {person}: give largest, central, or a number from 1 on: from the left.")


def check_finder(option: str, finder: Finder, **options: Any) -> None:
    """Refuse options that the finder has not.

    Args:
        option: What names the view on the command line.
        finder: The finder, or ``haar`` where none is asked.
        **options: ``person`` and ``align`` as given.
    """
    if finder == "blazeface":
        check_networks(f"{option}.finder blazeface")
    elif given := [name for name, value in options.items() if value not in ("largest", False)]:
        raise DataError(f"{option}.{given[0]} is an option of BlazeFace: {option}.finder blazeface, without landmarks "
                        "or boxes that are given.")  # fmt: skip


def follow(path: Path, frames: Sequence[VideoFrame], person: str) -> list[FoundFace | None]:
    """Return the face of one person in every frame; None where it is not seen.

    Raises:
        MediaError: Half of the frames or more do not show the person.
    """
    followed = Followed(person, shown_size(frames[0]))
    for frame in frames:
        followed.add(find_faces(to_rgb(frame)))
    faces = followed.all()
    if 2 * faces.count(None) >= len(faces):
        whose = f" of person {person}" if person.isdecimal() else ""
        raise MediaError(path, f"no face{whose} found in {faces.count(None)} of {len(faces)} frames")
    return faces
