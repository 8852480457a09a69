"""NoXi (Cafaro et al. 2017, https://doi.org/10.1145/3136755.3136780): conversations of two, engagement over time.

``<split>/<session>/{Expert,Novice}_video.mp4`` beside ``annotation_{expert,novice}.txt``; a split folder (train, dev or
val, test) may lie below one per language. An annotation has 25 rows per second of five blank-separated numbers, the
shares of five levels of engagement: soft in train, hard elsewhere. Or as MultiMediate hands it out
(https://multimediate-challenge.org): ``<session>/{expert,novice}.video.mp4`` beside
``{expert,novice}.engagement.annotation.csv``, 25 values between 0 and 1 per second, one a line, or NOVA's
``.annotation`` and ``.annotation~`` of that name: the fifth of the scale in which a value lies is its level.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import SPLITS as KNOWN
from datamodules.entries import Entry, Media, Series
from datamodules.errors import DataError
from datamodules.reading.engagement_videos import EngagementVideos
from datamodules.reading.files import files_in, place_in, plain
from datamodules.reading.matches import print_copies, print_unmatched
from datamodules.reading.tables import Table, settle
from datamodules.reading.tracks import read_nova, read_rows, read_values

SPLITS = {"train": "train", "dev": "val", "val": "val", "validation": "val", "test": "test", "test-base": "test"}
ROLES = ("Expert", "Novice")
RATE = 25  # rows of annotation per second
# The two lowest become disengaged, the two highest engaged.
FIVE_TO_THREE = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float64)
ENDINGS = (".annotation.csv", "*.annotation")  # of MultiMediate's files and of NOVA's, which may name the annotator
_SLACK = 0.01  # of the sum of a row


@dataclass(frozen=True)
class NoXi(EngagementVideos):
    """A folder of NoXi; the session, whose two people talk to each other, is the group.

    Attributes:
        splits: Table with the columns session and split (train, val, test), where no folder says it.
    """

    name: ClassVar[str] = "noxi"
    key: ClassVar[str] = "session and role"
    expected: ClassVar[str] = "Expert_video.mp4 or Novice_video.mp4, as in train/<session>/, nor an expert.video.mp4"

    splits: Path | None = None

    def videos(self, source: Path) -> Iterator[Entry]:
        """Yield the videos of both roles and print which labels and files have no counterpart.

        Raises:
            DataError: The table of splits is wrong.
        """
        names = {f"{role}_video.mp4": role.lower() for role in ROLES}
        names |= {f"{role.lower()}.video.mp4": role.lower() for role in ROLES}
        paths = [path for path in files_in(source, (".mp4",)) if path.name in names]
        given = read_splits(self.splits) if self.splits else {}
        for path in paths:
            role, session, parts = names[path.name], plain(path.parent.name), path.relative_to(source).parts[:-2]
            splits = [SPLITS[part.lower()] for part in parts if part.lower() in SPLITS]
            split = given.get(session) or (splits[-1] if splits else "")
            labels, problem = {}, ""
            if not split:
                problem = "not below a folder train, dev or test" + (f", nor in {self.splits}" if self.splits else "")
            else:
                try:
                    labels = {"engagement": read_engagement(path.parent, role, path.name.endswith(".video.mp4"))}
                except ValueError as error:
                    problem = str(error)
            name = place_in(source, path)
            yield Entry(
                f"{session}/{role}", session, name, {"video": Media(path)}, labels=labels, split=split, problem=problem
            )
        annotated = {
            f"{place_in(source, path.parent)}/{role}"
            for role in set(names.values())
            for pattern in (f"annotation_{role}.txt", *(f"{role}.engagement{ending}" for ending in ENDINGS))
            for path in source.rglob(pattern)
        }
        shown = {f"{place_in(source, path.parent)}/{names[path.name]}" for path in paths}
        print_unmatched(str(source), annotated, shown)


def read_splits(path: Path) -> dict[str, str]:
    """Return the split of every session of a table.

    Raises:
        DataError: It is no such table, or puts a session into two splits.
    """
    rows = list(Table(path, ("session", "split"), "--splits"))
    if wrong := next((row for row in rows if row["split"] not in KNOWN), None):
        raise DataError(f"{wrong.where}: split {wrong['split']!r} is not one of {', '.join(KNOWN)}; correct it")
    splits, copies = settle((row["session"], row["split"], row.place) for row in rows)
    print_copies(path, copies)
    return splits


def read_engagement(folder: Path, role: str, multimediate: bool) -> Series:
    """Return the engagement of one person as probabilities of three classes over time.

    Args:
        folder: Of the session.
        role: expert or novice.
        multimediate: Whether to look for its form of annotation: a value at a time and no shares.

    Raises:
        ValueError: There is no annotation or several, or it is wrong; the message is a reason to skip the video.
    """
    if not multimediate:
        return Series(read_annotation(folder / f"annotation_{role}.txt"), RATE)
    table = folder / f"{role}.engagement.annotation.csv"
    headers = sorted(folder.glob(f"{role}.engagement*.annotation"))
    if table.exists() or not headers:
        return Series(classes_of(read_values(table)), RATE)
    if len(headers) > 1:
        raise ValueError(f"several annotations of {role}: {', '.join(path.name for path in headers)}; keep one")
    values, rate = read_nova(headers[0])
    return Series(classes_of(values), rate)


def classes_of(values: np.ndarray) -> np.ndarray:
    """Return values between 0 and 1 as three classes, float32 ``(R, 3)``, rows of NaN where there is none."""
    levels = np.clip(np.nan_to_num(values) * len(FIVE_TO_THREE), 0, len(FIVE_TO_THREE) - 1).astype(int)
    return np.where(np.isnan(values)[:, None], np.nan, FIVE_TO_THREE[levels]).astype(np.float32)


def read_annotation(path: Path) -> np.ndarray:
    """Read the shares of five levels over time as probabilities of three classes.

    Args:
        path: 25 rows per second of five numbers.

    Returns:
        float32 ``(R, 3)``, rows of sum 1, NaN where a number is NaN.

    Raises:
        ValueError: A row is no distribution; the message is a reason to skip the video.
    """
    rows = read_rows(path)
    if (widths := {len(row) for row in rows}) != {5}:
        raise ValueError(f"{path.name} has {min(widths - {5}, default=0)} columns, not 5")
    shares = np.array(rows, np.float64)
    with np.errstate(over="ignore"):
        sums = shares.sum(1)
    if len(bad := np.flatnonzero((np.abs(sums - 1) > _SLACK) | (shares < 0).any(1))):
        raise ValueError(f"row {bad[0] + 1} of {path.name} sums to {sums[bad[0]]:g} or is negative")
    return np.asarray(shares @ FIVE_TO_THREE / sums[:, None], np.float32)
