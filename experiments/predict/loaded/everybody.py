"""Several people of a clip: how many they are, and the windows of one of them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from datamodules.errors import MediaError
from datamodules.media.blazeface import find_faces
from datamodules.media.films.people_in_film import people_in_film, places_of
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
    path = _film(row)
    return len(people_in_film(path, _span(row))) if path else 0


def number_of(row: Row) -> int:
    """Return by which number a clip asks about a person; 0 where it does not."""
    asked = str(row.get(PERSON, ""))
    return int(asked) if asked.isdecimal() else 0


def of_one_person(row: Row, parts: list[Row]) -> list[Row]:
    """Return the parts of a film that is asked about one of its people by number, each with where that one is then.

    Without a number, or without so many people, the parts are as they were.
    """
    number, path = number_of(row), _film(row)
    places = places_of(number, path, _span(row), [_span(part) for part in parts]) if path else []
    return [{**part, PERSON: place} for part, place in zip(parts, places, strict=True)] if places else parts


def _film(row: Row) -> Path | None:
    path = Path(row.get("file") or "")
    return path if kind_of(path) == "video" else None


def _span(row: Row) -> Span:
    return Span(row.get("start"), row.get("end"))
