"""FER-2013 and FER+: grey values in one table, the votes of ten people in another.

Barsoum et al. (ICMI 2016, https://arxiv.org/abs/1608.01041) had the pictures of FER-2013 labelled anew; their file of
votes holds no pictures, its rows are those of FER-2013 in the same order.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from datamodules.catalogues.faces.corpus import SEVEN, Corpus, Files, category
from datamodules.entries import Entry
from datamodules.errors import DataError
from datamodules.reading.tables import Row, Table

VOTED = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "",
    "NF": "",
}
SIDE = 48  # pixels
USAGE = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
_MOST = 1000  # votes for one expression of one picture; the corpus has ten people


def stills(files: Files, ignored: Counter[str]) -> Iterator[Entry]:
    """Yield FER-2013: ``fer2013.csv``, Kaggle's ``icml_face_data.csv`` or ``train.csv``, 48 x 48 grey values a row.

    With FER+'s ``fer2013new.csv`` beside it the majority of the votes is the label, else it is FER-2013's own. All of
    ``train.csv`` trains; the column ``Usage`` of the others gives validation and test.
    """
    path = files.require("fer2013.csv", "icml_face_data.csv", "train.csv")
    table = Table(path, ("emotion", "pixels"))
    voted = files.get("fer2013new.csv")
    if voted and "Usage" not in table.names:
        raise DataError(
            f"{voted}: its votes cannot be joined to {path.name}, which has no column Usage; put fer2013.csv or "
            "icml_face_data.csv there, or take the votes away."
        )
    for row, votes in _joined(table, voted):
        label = category(row["emotion"], SEVEN, row.where)
        if "Usage" in row and row["Usage"] not in USAGE:
            raise DataError(f"{row.where}: Usage {row['Usage']!r} is not one of {', '.join(USAGE)}.")
        if votes:
            winner = majority(votes)
            if not VOTED.get(winner):
                what = "voted to be no face" if winner == "NF" else "without a majority for one expression"
                ignored[f"{files.corpus} pictures {what}"] += 1
                continue
            label = category(winner, VOTED, votes.where)
        split = USAGE[row["Usage"]] if "Usage" in row else "train"
        values = row["pixels"].split()
        good = len(values) == SIDE * SIDE and all(value.isdecimal() and int(value) < 256 for value in values)
        yield files.still(
            f"{path.stem}-{row.line:06d}",
            path,
            row.where,
            category=label,
            split=split,
            pixels=np.frombuffer(bytes(map(int, values)), np.uint8).reshape(SIDE, SIDE) if good else None,
            problem="" if good else f"not {SIDE} x {SIDE} grey values",
        )


def _joined(table: Table, voted: Path | None) -> Iterator[tuple[Row, Row | None]]:
    """Yield the rows of the pictures with those of their votes, which are matched only by their position."""
    if voted is None:
        yield from ((row, None) for row in table)
        return
    for row, votes in zip_longest(table, Table(voted, ("Usage", *VOTED))):
        if row is None or votes is None:
            longer, shorter = (voted, table.path) if row is None else (table.path, voted)
            raise DataError(
                f"{voted}: {longer.name} has more rows than {shorter.name}; votes and pictures are joined row by row, "
                "get both files anew."
            )
        if row["Usage"] != votes["Usage"]:
            raise DataError(
                f"{votes.where}: Usage is {votes['Usage']!r}, but {row['Usage']!r} in {row.where}; votes and pictures "
                "are joined row by row, get both files anew."
            )
        yield row, votes


def majority(votes: Row) -> str:
    """Return the class of more than half of the votes, as FER+'s own code does in its mode "majority".

    Single votes do not count. Where no name has more than half of the others, it is ``unknown``.

    Raises:
        DataError: A number of votes is none.
    """
    counts = {}
    for name in VOTED:
        if not votes[name].isdecimal() or len(votes[name]) > 9 or int(votes[name]) > _MOST:
            raise DataError(f"{votes.where}: {votes[name]!r} is no number of votes for {name}.")
        counts[name] = int(votes[name]) if int(votes[name]) > 1 else 0
    winner = max(counts, key=lambda name: counts[name])
    return winner if 2 * counts[winner] > sum(counts.values()) else "unknown"


FER_PLUS = Corpus("fer_plus", stills)
