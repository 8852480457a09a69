"""The classes of VGAF, its label files, and ``sources.csv``: what synthetic clips were made of."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from datamodules.reading.names import fault_in_name
from datamodules.reading.tables import Row, read_table, settle
from datamodules.store.writer import write_table
from error_texts import first_names

CLASS_NAMES = ("Positive", "Neutral", "Negative")
SPLITS = ("Train", "Val")
SOURCES, COLUMNS = "sources.csv", ("clip", "kind", "file", "source", "placed", "dropped")


def read_labels(folder: Path, part: str, copies: Counter[str] | None = None) -> dict[str, int]:
    """Read a label file: blank-separated text with a header that names ``Vid_name`` and ``Label``.

    Args:
        folder: Where it is.
        part: ``Train`` or ``Val``, whose classes count from 1, or the class of synthetic clips, whose count from 0.
        copies: Counts the lines that repeat another line.

    Returns:
        Class index by clip, in the order of the file.

    Raises:
        DataError: It cannot be read, lacks a column, has wrong lines (all are reported), or labels a clip twice.
    """
    path, first = folder / f"{part}_labels.txt", int(part in SPLITS)
    try:
        check_regular(path)
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise DataError(f"{path}: no such label file; docs/data.md shows the layout of VGAF") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the label file cannot be read ({error})") from None
    header = lines[0] if lines else []
    if not {"Vid_name", "Label"} <= set(header):
        raise DataError(f"{path}: its first line must name the columns Vid_name and Label, not {' '.join(header)!r}")
    columns = header.index("Vid_name"), header.index("Label")
    valid = {str(first + place): place for place in range(len(CLASS_NAMES))}
    entries: list[tuple[str, str, str]] = []
    wrong = []
    for number, values in ((number, values) for number, values in enumerate(lines[1:], start=2) if values):
        if len(values) != len(header):
            wrong.append(f"line {number} has {len(values)} values for {len(header)} columns")
            continue
        name, label = (values[column] for column in columns)
        if label not in valid:
            wrong.append(f"line {number}: label {label} is none of {', '.join(valid)}")
        elif fault := fault_in_name(name):
            wrong.append(f"line {number}: {name!r} cannot be the name of a file: {fault}")
        entries.append((name, label, f"{path}, line {number}"))
    if wrong or not entries:
        raise DataError(f"{path}: {first_names(wrong, 4, '; ') or 'it names no clip'}; mend the file")
    labels, twice = settle(entries)
    if copies is not None and twice:
        copies[f"lines of {path.name} that come twice"] += twice
    return {name: valid[label] for name, label in labels.items()}


def split_labels(root: Path, copies: Counter[str] | None = None) -> dict[str, dict[str, int]]:
    """Return the class index by clip for Train and Val; arguments and errors are those of `read_labels`.

    Raises:
        DataError: A clip is in both.
    """
    labels = {split: read_labels(root, split, copies) for split in SPLITS}
    if shared := sorted(set(labels["Train"]) & set(labels["Val"])):
        raise DataError(
            f"{root}: {len(shared)} clips are in both Train and Val: {first_names(shared, 4)}; mend the label files"
        )
    return labels


def synthetic_labels(folder: Path) -> dict[str, dict[str, int]]:
    """Return the class index by clip for every class of synthetic clips; errors are those of `read_labels`.

    Raises:
        DataError: A clip is labelled otherwise than its folder is.
    """
    labels = {part: read_labels(folder, part) for part in CLASS_NAMES}
    for place, (part, found) in enumerate(labels.items()):
        if wrong := [f"{name} is labelled {label}" for name, label in found.items() if label != place]:
            raise DataError(f"{folder / part}_labels.txt: {wrong[0]}, the folder {part} is {place}; mend the file")
    return labels


def read_sources(folder: Path) -> list[Row]:
    """Return the rows of ``sources.csv``, what clip each face or sound comes from; none where there is no such file.

    Raises:
        DataError: It cannot be read, lacks a column, or a row is empty.
    """
    path = folder / SOURCES
    rows = read_table(path, ("clip", "source")) if path.exists() else []
    for row in rows:
        if not row["clip"] or not row["source"]:
            raise DataError(f"{row.where}: clip or source is empty")
    return rows


def source_clip(source: str, names: Collection[str]) -> str | None:
    """Return the clip that a source stands for: the longest name that it, or a folder it is in, begins with.

    Args:
        source: A clip, or a file cut out of one: ``<clip>_face3.png``, ``<clip>/3.png``.
        names: Names of all clips.

    Returns:
        The clip, None where it is no clip of the corpus.
    """
    for part in reversed(source.replace("\\", "/").split("/")):
        ends = [place for place, letter in enumerate(part) if letter in "_-. "] + [len(part)]
        if found := next((part[:end] for end in reversed(ends) if part[:end] in names), None):
            return found
    return None


def write_sources(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write ``sources.csv``, its own columns alone."""
    write_table(folder / SOURCES, COLUMNS, rows)
