"""NoXi (Cafaro et al. 2017, https://doi.org/10.1145/3136755.3136780): raw videos and annotations -> store.

Layout: ``<split>/<session>/{Expert,Novice}_video.mp4`` beside ``annotation_{expert,novice}.txt``; a split folder
(train, dev or val, test) may lie below one per language. An annotation has 25 rows per second of five blank-separated
numbers, the shares of five levels of engagement: soft in train, hard elsewhere. The two lowest become disengaged and
the two highest engaged, as Dresvyanskiy, Karpov and Minker (SPECOM 2024) have it.
"""

import argparse
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from datamodules.matches import tell_counts, tell_unmatched
from datamodules.prepare import _engagement
from datamodules.prepare._engagement_video import Video
from datamodules.store import DataError, check_regular, plain

SPLITS = {"train": "train", "dev": "val", "val": "val", "validation": "val", "test": "test"}
ROLES = ("Expert", "Novice")
RATE = 25  # rows of annotation per second
FIVE_TO_THREE = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float64)
_NONE = re.compile(r"[-+]?nan(\(.*\))?", re.IGNORECASE)  # Microsoft's C library writes -nan(ind)
_SLACK = 0.01  # of the sum of a row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the engagement corpora."""
    _engagement.add_arguments(parser)


def read_annotation(path: Path) -> np.ndarray:
    """Reads the shares of five levels over time as probabilities of three classes.

    Args:
        path: 25 rows per second of five numbers.

    Returns:
        float32 ``(R, 3)``, rows of sum 1, NaN where a number is NaN.

    Raises:
        ValueError: If a row is no distribution; the message is a reason to skip the video.
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
    """A share, NaN where the program that wrote it had none, however it spells that."""
    return math.nan if _NONE.fullmatch(text) else float(text)


def scan(folder: Path) -> list[Video]:
    """Lists the videos of a NoXi folder, sorted by id, and tells what lacks its other half.

    Raises:
        DataError: The folder is missing or holds no video.
    """
    if not folder.is_dir():
        raise DataError(f"--source {folder}: no such folder; docs/data.md says where to get NoXi.")
    videos: dict[str, Video] = {}
    shown: set[str] = set()
    twice = Counter[str]()
    for path in sorted(folder.rglob("*_video.mp4")):
        role, place = path.stem.partition("_")[0], Path(plain(str(path.relative_to(folder))))
        if role not in ROLES or path.name.startswith("."):
            continue
        session = plain(path.parent.name)
        shown.add(f"{place.parent.as_posix()}/{role.lower()}")
        splits = [SPLITS[part.lower()] for part in place.parts[:-2] if part.lower() in SPLITS]
        name, labels, reason = f"{session}/{role.lower()}", None, ""
        try:
            labels = read_annotation(path.with_name(f"annotation_{role.lower()}.txt"))
        except ValueError as error:
            reason = str(error)
        split = splits[-1] if splits else ""
        video = Video(name, path, place.as_posix(), session, split, labels, RATE, reason=reason)
        if not splits:
            video = replace(video, labels=None, reason="not below a folder train, dev or test")
        elif name in videos and _engagement.is_copy(videos[name], video):
            twice["copies of a video"] += 1
            continue
        elif name in videos:
            reason = f"same session and role as {videos[name].name}"
            video = replace(video, id=place.as_posix(), labels=None, reason=reason)
        videos[video.id] = video
    if not videos:
        raise DataError(
            f"--source {folder}: no Expert_video.mp4 or Novice_video.mp4, as in train/<session>/ (docs/data.md)."
        )
    annotated = {
        plain(f"{path.parent.relative_to(folder).as_posix()}/{path.stem.removeprefix('annotation_')}")
        for role in ROLES
        for path in folder.rglob(f"annotation_{role.lower()}.txt")
    }
    tell_unmatched(str(folder), annotated, shown)
    tell_counts(twice)
    return [videos[name] for name in sorted(videos)]


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    return _engagement.run(args, "noxi", scan(args.source))
