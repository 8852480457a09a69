"""The classes of VGAF, its label files, and ``sources.csv``: what synthetic clips were made of."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from datamodules.reading.names import fault_in_name
from datamodules.reading.tables import Row, read_table, settle
from error_texts import first_names

CLASS_NAMES = ("Positive", "Neutral", "Negative")
SPLITS = ("Train", "Val")
SOURCES, COLUMNS = "sources.csv", ("clip", "kind", "file", "source", "placed", "dropped")


def read_labels(path: Path, first: int, copies: Counter[str] | None = None) -> dict[str, int]:
    """Read a label file.

    Args:
        path: Blank-separated text with a header that names ``Vid_name`` and ``Label``.
        first: What the file calls class 0.
        copies: Counts the lines that say again what another line says.

    Returns:
        Class index by clip, in the order of the file.

    Raises:
        DataError: If it cannot be read, a column is missing, lines are wrong (all are reported), or two label one clip
            differently.
    """
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
    name_at, label_at = header.index("Vid_name"), header.index("Label")
    entries: list[tuple[str, str, str]] = []
    wrong = []
    valid = {str(first + place): place for place in range(len(CLASS_NAMES))}
    for number, values in enumerate(lines[1:], start=2):
        if not values:
            continue
        if len(values) != len(header):
            wrong.append(f"line {number} has {len(values)} values for {len(header)} columns")
        elif values[label_at] not in valid:
            wrong.append(f"line {number}: label {values[label_at]} is none of {', '.join(valid)}")
        elif fault := fault_in_name(values[name_at]):
            wrong.append(f"line {number}: {values[name_at]!r} cannot be the name of a file: {fault}")
        else:
            entries.append((values[name_at], values[label_at], f"{path}, line {number}"))
    if wrong or not entries:
        raise DataError(f"{path}: {first_names(wrong, 4, '; ') or 'it names no clip'}; mend the file")
    labels, twice = settle(entries)
    if copies is not None and twice:
        copies[f"lines of {path.name} that come twice"] += twice
    return {name: valid[label] for name, label in labels.items()}


def split_labels(root: Path, copies: Counter[str] | None = None) -> dict[str, dict[str, int]]:
    """Return the class index by clip for Train and Val.

    Args:
        root: Folder of the label files.
        copies: As `read_labels` has it.

    Raises:
        DataError: If a label file is missing or wrong, or a clip is in both.
    """
    labels = {split: read_labels(root / f"{split}_labels.txt", 1, copies) for split in SPLITS}
    if shared := sorted(set(labels["Train"]) & set(labels["Val"])):
        raise DataError(
            f"{root}: {len(shared)} clips are in both Train and Val: {first_names(shared, 4)}; mend the label files"
        )
    return labels


def read_sources(folder: Path) -> list[Row]:
    """Return the rows of ``sources.csv``: the clip that a face or sound of a synthetic clip comes from; may be empty.

    Raises:
        DataError: If it cannot be read or lacks a column.
    """
    path = folder / SOURCES
    if not path.exists():
        return []
    rows = read_table(path, ("clip", "source"))
    for row in rows:
        if not row["clip"] or not row["source"]:
            raise DataError(f"{row.where}: clip or source is empty")
    return rows


def source_clip(source: str, names: set[str]) -> str | None:
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
    """Write ``sources.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / SOURCES, text.getvalue())
