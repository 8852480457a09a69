"""Which clips train, which select the epoch and which are scored: folds, official splits, and a file that says so."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.entries import SPLITS
from datamodules.errors import DataError
from datamodules.reading.tables import read_table, settle

OPTION = "--data.splits"
COMMITTED = Path(__file__).parents[1] / "splits"  # of corpora whose folders name none, by corpus


def read_division(
    path: Path,
    clips: Sequence[tuple[str, str]],
    columns: Sequence[str] = ("clip",),
    root: str = "",
    key: Callable[[str], str] = str,
) -> list[dict[str, str]]:
    """Return the row of every clip in a CSV of folds or splits.

    Args:
        path: With the columns clip, fold or split, and, to be compared, speaker.
        clips: Id and group of each.
        columns: Those that it must have.
        root: Where the clips lie, for messages.
        key: Makes of an id the name by which the file lists it.

    Raises:
        DataError: The file cannot be read, a clip is not in it, or in it twice, or of another speaker.
    """
    rows = read_table(path, columns, OPTION)
    listed, copies = settle(
        (row["clip"], {name: value for name, value in row.items() if name in ("speaker", "fold", "split")}, row.place)
        for row in rows
    )
    if copies:
        rank_zero_warn(f"{OPTION} {path}: {copies} rows come twice and count once")
    found = []
    for clip, group in clips:
        row = listed.get(key(clip))
        if row is None:
            raise DataError(f"{path.name} does not list clip {clip} of {root}")
        said = row.get("speaker", "")
        if said != group and (said or "speaker" in columns):
            raise DataError(f"{path.name} gives clip {clip} to speaker {said}, not {group}")
        found.append(row)
    return found


def fold_numbers(values: Sequence[str], clips: Sequence[str], source: str, count: int | None = None) -> np.ndarray:
    """Return the folds of clips as numbers from 0, ``(N,)``.

    Args:
        values: As written.
        clips: Whose, for messages.
        source: What says so.
        count: How many folds there are; where not given every one up to the greatest has to be there.

    Raises:
        DataError: One is no such number, or there is a gap.
    """
    for value, clip in zip(values, clips, strict=True):
        is_number = value.isascii() and value.isdecimal() and str(int(value)) == value
        if not is_number or (count and int(value) >= count):
            known = f"not one of 0 to {count - 1}" if count else "no whole number from 0"
            raise DataError(f"{source}: fold {value!r} of clip {clip} is {known}")
    folds = np.array([int(value) for value in values])
    if not count and len(absent := np.setdiff1d(np.arange(folds.max() + 1), folds)):
        raise DataError(f"{source}: no clip is in fold {absent[0]}, but some are in {folds.max()}; count from 0 on")
    return folds


def split_rows(
    splits: Sequence[str], usable: np.ndarray, selects: bool, carved: Callable[[np.ndarray], np.ndarray], source: str
) -> dict[str, np.ndarray]:
    """Return rows of ``train``, ``test`` and, where the epoch is selected on clips of their own, ``val``.

    Without a test split (labels that were never released) the validation clips are scored.

    Args:
        splits: Of every clip: train, val, test, or nothing for one that is in none.
        usable: Which clips count, bool ``(N,)``.
        selects: Whether the epoch is selected on clips that are not scored.
        carved: Returns which of some rows are taken out of train to validate, where there is no split for that.
        source: What says so, for messages.

    Raises:
        DataError: A split is called otherwise, or one that is needed has no clip.
    """
    if strange := sorted(set(splits) - {*SPLITS, ""}):
        raise DataError(f"{source}: split {strange[0]!r} is none of {', '.join(SPLITS)}")
    rows = {name: np.flatnonzero((np.array(splits) == name) & usable) for name in SPLITS}
    if not len(rows["train"]) or not len(rows["test"]) + len(rows["val"]):
        lacking = "train" if not len(rows["train"]) else "test or val"
        raise DataError(f"{source}: no labelled {lacking} clips; give clips of both to learn from and to score")
    if not len(rows["test"]):
        rows = {"train": rows["train"], "val": rows["test"], "test": rows["val"]}
    if selects and not len(rows["val"]):
        drawn = carved(rows["train"])
        rows |= {"train": rows["train"][~drawn], "val": rows["train"][drawn]}
    if not selects:
        del rows["val"]
    return rows


def carve(labels: np.ndarray, groups: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Draw whole groups that hold about a share of every class; of each class something stays.

    Args:
        labels: Class indices ``(N,)``.
        groups: Of every clip.
        share: Of each class.
        seed: Of the draw.

    Returns:
        bool ``(N,)``.

    Raises:
        DataError: Nothing can be drawn without taking all of a class.
    """
    classes, label_of = np.unique(labels, return_inverse=True)
    units, group_of = np.unique(np.array(groups), return_inverse=True)
    counts = np.zeros((len(units), len(classes)), int)
    np.add.at(counts, (group_of, label_of), 1)
    sizes = counts.sum(0)
    taken, drawn = np.zeros_like(sizes), np.zeros(len(units), bool)
    rng = np.random.default_rng([seed, 0])
    for label, size in enumerate(sizes):
        wanted = min(max(1, round(share * int(size))), int(size) - 1)
        for group in group_of[rng.permutation(np.flatnonzero(label_of == label))]:
            if taken[label] >= wanted:
                break
            if not drawn[group] and (taken + counts[group] < sizes).all():
                drawn[group] = True
                taken += counts[group]
    if not drawn.any():
        raise DataError(
            "--data.protocol honest: too few groups train to take out some that validate; give --data.protocol paper, "
            f"or {OPTION} with a split val"
        )
    return np.asarray(drawn[group_of])
