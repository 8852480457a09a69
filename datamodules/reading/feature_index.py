"""The index of clips whose features were computed elsewhere: groups, folds or splits, and labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.batches import Split
from datamodules.errors import DataError
from datamodules.reading.names import SPLIT_NAMES, distinct
from datamodules.reading.tables import Row, Table, read_table, settle
from error_texts import first_names

MOST = 10_000  # classes or folds: nobody has as many, and a class more is a row of every table
CLASSES = "class"  # the task of the classes
SOFT, VALUE = ("soft_", "label_"), "value_"


@dataclass(frozen=True)
class ClipIndex:
    """Clips in order, with what is said of each.

    Attributes:
        ids: Clip ids.
        groups: Group of every clip, the speaker.
        folds: Test fold of every clip, ``(N,)``; None where official splits are given.
        splits: ``train``, ``val`` or ``test`` of every clip; None where folds are given.
        targets: Labels by task: class indices int64 ``(N,)`` with -1 where there is none, shares float32 ``(N, K)``, or
            values float32 ``(N,)``, NaN where there is none.
        outputs: What each task means, as plain values: ``kind`` (classes, soft or value), ``classes``, ``unit``, range.
    """

    ids: list[str]
    groups: list[str]
    folds: np.ndarray | None
    splits: list[Split] | None
    targets: dict[str, np.ndarray]
    outputs: dict[str, dict[str, Any]]


def read_index(path: Path, values: Sequence[str] = ()) -> list[Row]:
    """Return the rows of an index of clips, of equal ones the first.

    Args:
        path: CSV with columns id, group (the unit of folds, the speaker), fold or split, and labels: target (class
            index from 0), ``soft_<class>`` (shares or numbers of raters), ``value_<task>``.
        values: Further columns that hold values.

    Raises:
        DataError: If the file cannot be read, a column or a value is missing, a number is none or beyond `MOST`, or two
            rows say different things of one id.
    """
    names = Table(path).names
    labels = [name for name in names if name.startswith((*SOFT, VALUE))] + list(values)
    needed = ["id", "group", *["target"] * (not labels), *["fold"] * ("split" not in names), *values]
    rows = read_table(path, needed)
    if not rows:
        raise DataError(f"{path}: the index is empty; it needs a row for each clip")
    for row in rows:
        for name in ("target", "fold"):
            if name in row and not row[name].isdecimal() and not (name == "target" and labels and not row[name]):
                raise DataError(f"{row.where}: {name} is {row[name]!r}, not a number from 0")
        for name in ("id", "group"):
            if not row[name]:
                raise DataError(f"{row.where}: {name} is empty")
    clips, copies = settle((row["id"], row, row.place) for row in rows)
    if copies:
        rank_zero_warn(f"{path}: {copies} rows come twice and count once")
    for row in clips.values():
        for name in ("target", "fold"):
            if name in row and len(row[name].lstrip("0")) >= len(str(MOST)):
                raise DataError(
                    f"{row.where}: {name} of clip {row['id']} is {row[name][:20]}; at most {MOST - 1:,} is read"
                )
    return list(clips.values())


def index_of(path: Path, rows: list[Row], values: Sequence[str], class_names: list[str]) -> ClipIndex:
    """Return what the rows of an index say.

    Args:
        path: The index, for messages.
        rows: Of `read_index`.
        values: Columns of values that were asked for; those that begin with ``value_`` where none was.
        class_names: Names of the classes in order of their index; numbers, or those of the columns, where not given.

    Raises:
        DataError: If a label is none, or the names are not those of the classes.
    """
    columns = list(rows[0])
    targets: dict[str, np.ndarray] = {}
    outputs: dict[str, dict[str, Any]] = {}
    soft = [name for name in columns if name.startswith(SOFT)]
    chosen = list(values) or [name for name in columns if name.startswith(VALUE)]
    if soft:
        names = distinct([name.partition("_")[2] for name in soft], f"{path}: soft labels")
        if class_names and class_names != names:
            raise DataError(
                f"--data.class_names: the columns of {path} name the classes {first_names(names)}; leave it out"
            )
        targets[CLASSES] = np.array([_shares(row, soft, bool(chosen)) for row in rows], np.float32)
        outputs[CLASSES] = {"kind": "soft", "classes": names}
    elif "target" in columns:
        targets[CLASSES] = np.array([int(row["target"] or -1) for row in rows], np.int64)
        most = int(targets[CLASSES].max())
        names = distinct(class_names, "--data.class_names") or [str(label) for label in range(most + 1)]
        if most >= len(names):
            where = rows[int(targets[CLASSES].argmax())].where
            raise DataError(f"{where}: target {most}, but {len(names)} classes")
        if not class_names and (unused := sorted(set(range(most)) - set(targets[CLASSES].tolist()))):
            rank_zero_warn(f"{path}: no clip has the target {first_names(list(map(str, unused)))}, yet {most} is one")
        outputs[CLASSES] = {"kind": "classes", "classes": names}
    for column in chosen:
        task = column.removeprefix(VALUE)
        if task in targets:
            raise DataError(f"{path}: two labels are called {task}; give one another name")
        targets[task] = np.array([_value(row, column) for row in rows], np.float32)
        outputs[task] = {"kind": "value", "unit": "", "range": None}
    folds = np.array([int(row["fold"]) for row in rows]) if "fold" in columns else None
    splits = None if folds is not None else [_split(row) for row in rows]
    return ClipIndex([row["id"] for row in rows], [row["group"] for row in rows], folds, splits, targets, outputs)


def _split(row: Row) -> Split:
    if found := SPLIT_NAMES.get(row["split"].casefold()):
        return found
    raise DataError(f"{row.where}: split is {row['split']!r}; it is train, val or test")


def _shares(row: Row, columns: list[str], optional: bool) -> list[float]:
    """Return the shares of a row, which add up to 1; NaN where it has none and other labels are there."""
    if optional and not any(row[name] for name in columns):
        return [math.nan] * len(columns)
    given = [_value(row, name) for name in columns]
    if any(not value >= 0 for value in given) or not sum(given):
        raise DataError(f"{row.where}: {', '.join(columns)[:60]} need a share, 0 or more, in every column; correct it")
    return [value / sum(given) for value in given]


def _value(row: Row, column: str) -> float:
    """Return a value, NaN where the field is empty."""
    try:
        value = float(row[column] or "nan")
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise DataError(f"{row.where}: {column} is {row[column][:20]!r}, not a number; correct it, or leave it empty")
    return value
