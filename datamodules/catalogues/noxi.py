"""NoXi (Cafaro et al. 2017, https://doi.org/10.1145/3136755.3136780): conversations of two, engagement over time.

``<split>/<session>/{Expert,Novice}_video.mp4`` beside ``annotation_{expert,novice}.txt``; a split folder (train, dev or
val, test) may lie below one per language. An annotation has 25 rows per second of five blank-separated numbers, the
shares of five levels of engagement: soft in train, hard elsewhere.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry, Media, Series
from datamodules.reading.engagement_videos import EngagementVideos
from datamodules.reading.files import check_regular, files_in, plain
from datamodules.reading.matches import print_unmatched

SPLITS = {"train": "train", "dev": "val", "val": "val", "validation": "val", "test": "test"}
ROLES = ("Expert", "Novice")
RATE = 25  # rows of annotation per second
# The two lowest become disengaged, the two highest engaged.
FIVE_TO_THREE = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float64)
_NONE = re.compile(r"[-+]?nan(\(.*\))?", re.IGNORECASE)  # Microsoft's C library writes -nan(ind)
_SLACK = 0.01  # of the sum of a row


@dataclass(frozen=True)
class NoXi(EngagementVideos):
    """A folder of NoXi; the session, whose two people talk to each other, is the group."""

    name: ClassVar[str] = "noxi"
    key: ClassVar[str] = "session and role"
    expected: ClassVar[str] = "Expert_video.mp4 or Novice_video.mp4, as in train/<session>/"

    def videos(self, source: Path) -> Iterator[Entry]:
        """Yield the videos of both roles and print which labels and files have no counterpart."""
        names = {f"{role}_video.mp4": role.lower() for role in ROLES}
        paths = [path for path in files_in(source, (".mp4",)) if path.name in names]
        for path in paths:
            role, session, place = names[path.name], plain(path.parent.name), path.relative_to(source)
            splits = [SPLITS[part.lower()] for part in place.parts[:-2] if part.lower() in SPLITS]
            labels, problem = {}, ""
            if not splits:
                problem = "not below a folder train, dev or test"
            else:
                try:
                    shares = read_annotation(path.with_name(f"annotation_{role}.txt"))
                    labels = {"engagement": Series(shares, RATE)}
                except ValueError as error:
                    problem = str(error)
            split, name = splits[-1] if splits else "", plain(place.as_posix())
            yield Entry(
                f"{session}/{role}", session, name, {"video": Media(path)}, labels=labels, split=split, problem=problem
            )
        annotated = {
            plain(f"{path.parent.relative_to(source).as_posix()}/{role}")
            for role in names.values()
            for path in source.rglob(f"annotation_{role}.txt")
        }
        shown = {plain(f"{path.parent.relative_to(source).as_posix()}/{names[path.name]}") for path in paths}
        print_unmatched(str(source), annotated, shown)


def read_annotation(path: Path) -> np.ndarray:
    """Read the shares of five levels over time as probabilities of three classes.

    Args:
        path: 25 rows per second of five numbers.

    Returns:
        float32 ``(R, 3)``, rows of sum 1, NaN where a number is NaN.

    Raises:
        ValueError: A row is no distribution; the message is a reason to skip the video.
    """
    try:
        check_regular(path)
        lines = path.read_text("utf-8-sig").splitlines()
        rows = [[_number(value) for value in line.split()] for line in lines if line.strip()]
    except FileNotFoundError:
        raise ValueError(f"no {path.name}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path.name} is not a table of numbers ({reason})") from None
    if (widths := {len(row) for row in rows}) != {5}:
        raise ValueError(f"{path.name} has {min(widths - {5}, default=0)} columns, not 5")
    shares = np.array(rows, np.float64)
    with np.errstate(over="ignore"):
        sums = shares.sum(1)
    if len(bad := np.flatnonzero((np.abs(sums - 1) > _SLACK) | (shares < 0).any(1))):
        raise ValueError(f"row {bad[0] + 1} of {path.name} sums to {sums[bad[0]]:g} or is negative")
    return np.asarray(shares @ FIVE_TO_THREE / sums[:, None], np.float32)


def _number(text: str) -> float:
    """Return a share, NaN where the program that wrote it had none, however it spells that."""
    return math.nan if _NONE.fullmatch(text) else float(text)
