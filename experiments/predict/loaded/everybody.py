"""Several people of a clip: how many they are, and the windows of one of them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.films.people_in_film import Places, people_in_film, place_of
from datamodules.media.people_in_picture import PERSON
from datamodules.media.pictures import read_picture
from datamodules.media.segments import Span
from datamodules.reading.media_files import kind_of

Row = Mapping[str, Any]


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
    if not 0 < number <= len(people):
        return parts
    return [{**part, PERSON: place_of(people[number - 1], _span(part))} for part in parts]


def _places(row: Row) -> tuple[Places, ...]:
    """Return where everybody is who is seen in a film; nobody in anything else."""
    path = Path(row.get("file") or "")
    return people_in_film(path, _span(row)) if kind_of(path) == "video" else ()


def _span(row: Row) -> Span:
    return Span(row.get("start"), row.get("end"))
