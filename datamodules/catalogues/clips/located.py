"""Rows of a table with the files that they mean; what has no counterpart is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.errors import DataError
from datamodules.media.people_in_picture import PERSON
from datamodules.media.segments import WHOLE, Span
from datamodules.reading.files import place_in
from datamodules.reading.listing import FILES, Listing
from datamodules.reading.media_files import MediaFiles, kind_of
from datamodules.reading.numbers import seconds
from datamodules.reading.tables import Row, settle, table_text
from error_texts import first_names

UNMATCHED = "unmatched.csv"


@dataclass(frozen=True)
class Located:
    """A row and its file.

    Attributes:
        row: Of the table.
        name: Of the file, as the row has it.
        path: The file; None where there is none.
        audio: A file of its sound alone, where the row names one.
        part: The part of the file that it is about.
        problem: Why there is no file.
    """

    row: Row
    name: str
    path: Path | None = None
    audio: Path | None = None
    part: Span = WHOLE
    problem: str = ""


def locate(listing: Listing, files: MediaFiles, people: bool = False) -> tuple[list[Located], int]:
    """Return the rows with their files, each once, and how many say again what another one says.

    Args:
        listing: The table.
        files: Of the source.
        people: Whether rows of one clip may be of several people in its picture.

    Raises:
        DataError: A row names no file or ends before it starts, or two say different things of one clip.
    """
    columns = [name for name in FILES if name in listing.names]
    files.settle_prefix([row[name] for row in listing.rows for name in columns])
    found = [_located(row, columns, files) for row in listing.rows]
    content = {name: name for name in listing.names if name not in columns}

    def person(one: Located) -> str:
        return one.row[PERSON] if people else ""

    def shown(one: Located) -> str:
        return place_in(files.source, one.path) if one.path else one.name

    _, copies = settle(
        (
            f"{shown(one)}{one.part.name}{'@' if person(one) else ''}{person(one)}",
            {name: one.row[name] for name in content},
            one.row.place,
        )
        for one in found
    )
    once = {(one.path or one.name, one.part, person(one)): one for one in reversed(found)}
    return list(reversed(once.values())), copies


def _located(row: Row, columns: Sequence[str], files: MediaFiles) -> Located:
    names = {column: row[column] for column in columns if row[column]}
    if not names:
        raise DataError(f"{row.where}: no name in the column {' or '.join(columns)}; give one, or take out the row")
    start, end = (seconds(row.get(name, ""), f"{row.where}: {name}") for name in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise DataError(f"{row.where}: it ends at {end:g} s and starts at {start or 0:g} s; correct it")
    part = Span(start, end)
    first = names.get("file") or names.get("video") or names["audio"]
    path = files.find(first)
    if isinstance(path, str):
        return Located(row, first, part=part, problem=path)
    audio = files.find(names["audio"]) if names.get("audio", first) != first else None
    if isinstance(audio, str):
        return Located(row, names["audio"], part=part, problem=audio)
    return Located(row, first, path, audio, part)


def print_unmatched(located: Sequence[Located], files: MediaFiles) -> dict[str, str]:
    """Print how many rows have no file and how many files no row; return the list of them as the text of a CSV.

    Sounds beside a video of their name are its sound, and stills among films and sounds are no clips, unless a row
    names them.
    """
    missing = [one for one in located if one.path is None]
    named = {path for one in located for path in (one.path, one.audio) if path is not None}
    stems = {path.with_suffix("") for path in named if kind_of(path) == "video"}
    pictures = all(kind_of(path) == "picture" for path in named)
    there = files.paths if pictures else [path for path in files.paths if kind_of(path) != "picture"]
    bare = [path for path in there if path not in named and path.with_suffix("") not in stems]
    names = [place_in(files.source, path) for path in bare]
    if missing:
        print(f"  {len(missing)} rows without a file ({first_names([one.name for one in missing])})")
    if names:
        print(f"  {len(names)} files without a row, left out ({first_names(names)})")
    rows = [["row without a file", one.name, one.row.where, one.problem] for one in missing]
    rows += [["file without a row", name, "", ""] for name in names]
    return {UNMATCHED: table_text(("what", "name", "where", "reason"), rows)}


def fault_of_missing(located: Sequence[Located], accepted: int, source: Path) -> str:
    """Return why there are too many rows without a file to go on; empty where there are not."""
    missing = [one for one in located if one.path is None]
    if len(missing) <= accepted and len(missing) < len(located):
        return ""
    accept = f", or do without them: --max_missing {len(missing)}" if len(missing) < len(located) else ""
    first = f"{missing[0].name!r} ({missing[0].problem})"
    return f"{len(missing)} of {len(located)} rows have no file in {source}, the first {first}; mend the table{accept}"
