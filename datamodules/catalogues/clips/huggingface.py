"""Hugging Face's AudioFolder, VideoFolder and ImageFolder: ``metadata.csv``, ``.jsonl`` or ``.parquet``.

``file_name`` (or ``video_file_name`` and the like) is relative to the folder of the table; splits are folders.
"""

from collections.abc import Sequence
from pathlib import Path

from datamodules.errors import DataError
from datamodules.reading.listing import Listing, listing_of, read_rows
from datamodules.reading.names import SPLIT_NAMES
from datamodules.reading.plain_json import parse_json
from datamodules.reading.tables import Row

NAME, SUFFIXES = "metadata", (".csv", ".jsonl", ".parquet")
_END = "file_name"


def file_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that name files."""
    return [name for name in names if name in (_END, f"{_END}s") or name.endswith((f"_{_END}", f"_{_END}s"))]


def tables_of_folders(source: Path) -> list[Path]:
    """Return the tables of the folders of the splits, where each has its own."""
    return sorted(
        path
        for folder in source.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
        for suffix in SUFFIXES
        if (path := folder / f"{NAME}{suffix}").is_file()
    )


def read_several(paths: Sequence[Path], source: Path) -> Listing:
    """Return the rows of the tables of several folders as one."""
    parts = [canonical(path, listing_of(path.name, read_rows(path)[0]), source) for path in paths]
    rows = [row for part in parts for row in part.rows]
    return listing_of(f"{len(paths)} tables of folders, as Hugging Face has them", rows)


def canonical(path: Path, listing: Listing, source: Path) -> Listing:
    """Return the rows with the columns of `labels.csv`: file, or video and audio; and split, from the folders.

    Raises:
        DataError: It names no file, or a row names several of a kind.
    """
    columns = file_columns(listing.names)
    if not columns:
        names = ", ".join(map(repr, listing.names))
        raise DataError(f"{path}: no column file_name among {names}; rename the one that names the files")
    try:
        folder = path.resolve().parent.relative_to(source.resolve()).parts
    except ValueError:  # a table that lies elsewhere
        folder = ()
    rows = []
    for row in listing.rows:
        own = {name: value for name, value in row.items() if name not in columns}
        own |= {kind: "/".join([*folder, name]) for kind, name in _files(row, columns).items()}
        parts = [part for kind in ("file", "video", "audio") for part in own.get(kind, "").split("/")[:-1]]
        splits = [SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES]
        if splits and not own.get("split"):
            own["split"] = splits[0]
        rows.append(Row(own, row.place))
    return listing_of(f"{path.name}, as Hugging Face has it", rows)


def _files(row: Row, columns: Sequence[str]) -> dict[str, str]:
    """Return the files of a row by what they are called: file, or video and audio."""
    found: dict[str, str] = {}
    for column in columns:
        for name in _names(row[column]):
            kind = column.partition("_")[0] if column.startswith(("video_", "audio_")) else "file"
            if found.setdefault(kind, name) != name:
                raise DataError(f"{row.where}: {column} names several files; give every clip a row of its own")
    if "file" in found and len(found) > 1:
        found["video"] = found.pop("file")
    if list(found) in (["video"], ["audio"]):  # of one file its ending says what it is
        return {"file": next(iter(found.values()))}
    return found


def _names(text: str) -> list[str]:
    if not text.startswith("["):
        return [text] if text else []
    try:
        return [str(name) for name in parse_json(text.replace("'", '"'))]
    except ValueError:
        return [text]
