"""The finder of faces, an option of every view that looks for one: OpenCV's Haar cascade, or BlazeFace."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from av.video.frame import VideoFrame

from datamodules.entries import Entry
from datamodules.errors import DataError, MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.face_networks import check_networks
from datamodules.media.found_face import FoundFace
from datamodules.media.frames import shown_size, to_rgb
from datamodules.media.people_in_picture import PERSON, RULES, Followed, names_person, point_of

Finder = Literal["haar", "blazeface"]
# The options that `haar` has not; a store that it made says nothing of them, as before there was another finder.
OPTIONS = ("finder", "person", "align")
AnyView = TypeVar("AnyView")


def check_person(option: str, person: str) -> None:
    """Refuse what names no person."""
    if not names_person(person) and point_of(person) is None:
        raise DataError(f"{option} {person}: give largest, central, or a number from 1 on, from the left, or the place "
                        "of the face, as 0.3,0.5 of width and height.")  # fmt: skip


def for_entry(view: AnyView, entry: Entry) -> AnyView:
    """Return a view as it is of an entry: one that names a person has that one followed."""
    person = entry.columns.get(PERSON)
    return replace(view, person=person) if person else view  # type: ignore[type-var]  # every view is a dataclass


def check_finder(option: str, finder: Finder, entries: Sequence[Entry] = (), **options: Any) -> None:
    """Refuse options that the finder has not.

    Args:
        option: What names the view on the command line.
        finder: The finder, or ``haar`` where none is asked.
        entries: Those whose faces are looked for.
        **options: ``person`` and ``align`` as given.
    """
    if finder == "blazeface":
        check_networks(f"{option}.finder blazeface")
    elif given := [name for name, value in options.items() if value not in ("largest", False)]:
        raise DataError(f"{option}.{given[0]} is an option of BlazeFace: {option}.finder blazeface, without landmarks "
                        "or boxes that are given.")  # fmt: skip
    elif any(entry.columns.get(PERSON) for entry in entries):
        raise DataError(f"{option}: the table's column {PERSON} says whom BlazeFace is to follow: {option}.finder "
                        "blazeface, without landmarks or boxes that are given; or leave the column out.")  # fmt: skip


def follow(path: Path, frames: Sequence[VideoFrame], person: str) -> tuple[list[FoundFace | None], tuple[int, int]]:
    """Return the face of one person in every frame, None where it is not seen; and which of how many it is.

    Raises:
        MediaError: Half of the frames or more do not show the person.
    """
    followed = Followed(person, shown_size(frames[0]))
    for frame in frames:
        followed.add(find_faces(to_rgb(frame)))
    faces = followed.all()
    if 2 * faces.count(None) >= len(faces):
        whose = "" if person in RULES else f" of person {person}" if person.isdecimal() else f" at {person}"
        raise MediaError(path, f"no face{whose} found in {faces.count(None)} of {len(faces)} frames")
    return faces, followed.among
