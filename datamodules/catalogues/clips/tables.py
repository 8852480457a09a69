"""Find the table of a folder of clips and recognise who wrote it by what it holds."""

from pathlib import Path

from datamodules.catalogues.clips import audformat, emobox, huggingface
from datamodules.errors import DataError
from datamodules.reading.files import plain
from datamodules.reading.listing import FILES, HELP, Listing, listing_of, nearest, read_rows
from datamodules.reading.media_files import MediaFiles
from datamodules.reading.names import SPLIT_NAMES
from datamodules.reading.tables import Place, Row

SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", *SPREADSHEETS)
OWN = ("folds.csv", "unmatched.csv")  # what a preparation wrote


def read_listing(source: Path, labels: Path | None, files: MediaFiles) -> Listing:
    """Return what a table, or the names of the folders, say of the clips.

    Args:
        source: Folder of the clips.
        labels: The table, or the folder of one; where not given it is looked for in the source.
        files: Of the source.

    Raises:
        DataError: There is no table and no folder that could name a class, several tables, or one that cannot be read.
    """
    if labels is not None:
        found = next((path for path in (labels, source / labels) if path.exists()), None)
        if found is None:
            raise DataError(f"--labels {labels}: no such file; {HELP}")
        return _read(found, source, "--labels")
    if (found := _find(source)) is not None:
        return _read(found, source, "")
    if several := huggingface.tables_of_folders(source):
        return huggingface.read_several(several, source)
    return _of_folders(source, files)


def _find(source: Path) -> Path | None:
    """Return the table of a folder by its name, or the only one that there is; None without one."""
    there = {path.name: path for path in sorted(source.iterdir()) if not path.name.startswith(".") and path.is_file()}
    for stem in ("labels", "metadata"):
        found = [path for path in there.values() if path.stem.lower() == stem and path.suffix.lower() in TABLES]
        if len(found) > 1:
            raise DataError(
                f"--source {source}: {' and '.join(path.name for path in found)}; name the one that counts with "
                "--labels"
            )
        if found:
            return found[0]
    if audformat.HEADER in there:
        return there[audformat.HEADER]
    if emobox.fold_files(source):
        return source
    found = [path for path in there.values() if path.suffix.lower() in (*TABLES[:2], *SPREADSHEETS)]
    found = [path for path in found if path.name not in OWN]
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise DataError(f"--source {source}: {len(found)} tables ({names}); name the one that counts with --labels")
    return found[0] if found else None


def _read(path: Path, source: Path, option: str) -> Listing:
    suffix = path.suffix.lower()
    if path.is_dir():
        if (path / audformat.HEADER).is_file():
            return audformat.read(path / audformat.HEADER, source)
        if emobox.fold_files(path):
            return emobox.read(path)
        raise DataError(f"{option} {path}: a folder without {audformat.HEADER} or fold_1/*.jsonl; {HELP}".lstrip())
    if suffix in SPREADSHEETS:
        raise DataError(f"{option} {path}: a spreadsheet is not read; save it as CSV (UTF-8) and name that".lstrip())
    if suffix in (".yaml", ".yml"):
        return audformat.read(path, source)
    rows, what = read_rows(path, option)
    listing = listing_of(f"{path.name}, {what}", rows)
    if set(listing.names) >= emobox.COLUMNS:
        return emobox.of_one_file(path, listing)
    if huggingface.file_columns(listing.names) and not set(FILES) & set(listing.names):
        return huggingface.canonical(path, listing, source)
    check_file_column(listing)
    return listing


def check_file_column(listing: Listing) -> None:
    """Refuse a table that has no column with the names of files.

    Raises:
        DataError: It has none; what it has is named, and the one that may be meant.
    """
    if set(FILES) & set(listing.names):
        return
    wanted = {"file": FILES[0], "filename": "file", "path": "file", "video": "video", "audio": "audio", "wav": "file"}
    meant = [(name, wanted[near]) for name in listing.names if (near := nearest(name, wanted))]
    hint = f"{meant[0][0]!r} may be what is called {meant[0][1]!r}: rename it" if meant else "call that of the files so"
    raise DataError(
        f"{listing.source}: no column file (or video, audio) among {', '.join(map(repr, listing.names))}; {hint}"
    )


def _of_folders(source: Path, files: MediaFiles) -> Listing:
    """Return a row per file whose folder names its class, with the split where a folder above is called so."""
    rows = []
    for path in files.clips:
        place = path.relative_to(source)
        folders = [plain(part) for part in place.parts[:-1]]
        splits = [SPLIT_NAMES[part.lower()] for part in folders if part.lower() in SPLIT_NAMES]
        names = [part for part in folders if part.lower() not in SPLIT_NAMES]
        if names:
            name = plain(place.as_posix())
            row = {"file": name, "label": names[-1].strip()}
            rows.append(Row(row | ({"split": splits[0]} if splits else {}), Place(name, 0)))
    if len({row["label"] for row in rows}) < 2:
        alone = f"one folder ({rows[0]['label']!r})" if rows else "no folder"
        raise DataError(
            f"--source {source}: no table (labels.csv, metadata.csv, metadata.jsonl, db.yaml) and {alone} whose name "
            f"could be a label, among {len(files.clips)} files; {HELP}"
        )
    return listing_of("names of the folders, for want of a table", rows)
