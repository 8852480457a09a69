"""DAiSEE (Gupta et al. 2016, https://arxiv.org/abs/1609.01885): raw clips and label files -> store.

Layout: ``DataSet/{Train,Validation,Test}/<user>/<clip>/<clip>.avi`` (or .mp4) and
``Labels/{Train,Validation,Test}Labels.csv`` with ClipID and Engagement from 0 to 3. Of the four levels the lowest alone
is disengaged and the highest alone engaged, as Dresvyanskiy, Karpov and Minker (SPECOM 2024) have it.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from datamodules.prepare import _engagement
from datamodules.prepare._engagement_video import Video
from datamodules.store import DataError, plain

SPLITS = {"Train": "train", "Validation": "val", "Test": "test"}
FOUR_TO_THREE = (0, 1, 1, 2)
_SUFFIXES = {".avi", ".mp4"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the engagement corpora."""
    _engagement.add_arguments(parser)


def read_labels(path: Path) -> dict[str, str]:
    """Engagement by clip, as written.

    Args:
        path: One of the three label files.

    Raises:
        DataError: If it is missing or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{(name or "").strip(): value for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"--source: label file {path} cannot be read ({error}); docs/data.md shows the layout"
        ) from None
    if rows and not {"ClipID", "Engagement"} <= rows[0].keys():
        raise DataError(f"{path}: no columns ClipID and Engagement; docs/data.md shows the layout")
    return {Path(row["ClipID"].strip()).stem: (row["Engagement"] or "").strip() for row in rows}


def scan(folder: Path) -> list[Video]:
    """Lists the clips of a DAiSEE folder, sorted by id.

    Raises:
        DataError: The folder or a label file is missing, or there is no clip.
    """
    data = folder / "DataSet"
    if not data.is_dir():
        raise DataError(f"--source {folder}: no folder DataSet in it; docs/data.md says where to get DAiSEE.")
    videos: dict[str, Video] = {}
    for name, split in SPLITS.items():
        paths = sorted(path for path in (data / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
        labels = read_labels(folder / "Labels" / f"{name}Labels.csv") if paths else {}
        for path in paths:
            if path.name.startswith("."):
                continue
            place, clip = plain(path.relative_to(folder).as_posix()), plain(path.stem)
            level, parts = labels.get(clip), path.relative_to(data / name).parts
            reason, vector = "", None
            if clip in videos:
                reason = f"same clip as {videos[clip].name}"
                clip = place
            elif len(parts) < 2:
                reason = f"not in a folder {name}/<user>/<clip>"
            elif level is None:
                reason = f"no label in {name}Labels.csv"
            elif level not in ("0", "1", "2", "3"):
                reason = f"engagement {level!r} is not one of 0 to 3"
            else:
                vector = np.eye(3, dtype=np.float32)[[FOUR_TO_THREE[int(level)]]]
            videos[clip] = Video(clip, path, place, parts[0], split, vector, reason=reason)
    if not videos:
        raise DataError(
            f"--source {folder}: no .avi or .mp4 in DataSet/Train/<user>/<clip>/ and the like (docs/data.md)."
        )
    return [videos[clip] for clip in sorted(videos)]


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    return _engagement.run(args, "daisee", scan(args.source))
