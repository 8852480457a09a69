"""DAiSEE (Gupta et al. 2016, https://arxiv.org/abs/1609.01885): raw clips and label files -> store.

Layout: ``DataSet/{Train,Validation,Test}/.../<user>/<clip>/<clip>.avi`` (or .mp4) and
``Labels/{Train,Validation,Test}Labels.csv`` with ClipID and Engagement from 0 to 3. Of the four levels the lowest alone
is disengaged and the highest alone engaged, as Dresvyanskiy, Karpov and Minker (SPECOM 2024) have it.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from datamodules.matches import tell_copies, tell_counts, tell_unmatched
from datamodules.prepare import _engagement
from datamodules.prepare._engagement_video import Video
from datamodules.store import DataError, plain
from datamodules.tables import Table, settle

SPLITS = {"Train": "train", "Validation": "val", "Test": "test"}
FOUR_TO_THREE = (0, 1, 1, 2)
_SUFFIXES = {".avi", ".mp4"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the engagement corpora."""
    _engagement.add_arguments(parser)


def read_labels(path: Path) -> dict[str, str]:
    """Return the engagement by clip, as written.

    Args:
        path: One of the three label files.

    Raises:
        DataError: If it cannot be read, lacks a column or labels a clip twice differently.
    """
    rows = Table(path, ("ClipID", "Engagement"))
    labels, copies = settle((Path(row["ClipID"]).stem, row["Engagement"], row.place) for row in rows)
    tell_copies(path, copies)
    return labels


def participant(parts: Sequence[str]) -> str:
    """Return who a clip shows: the folder above the clip's own, or above the clip where it has none; or nobody.

    Args:
        parts: Its path below the folder of the split; there may be further levels above the participant.
    """
    folders = list(parts[:-1])
    if folders and folders[-1] == Path(parts[-1]).stem:
        folders.pop()
    return folders[-1] if folders else ""


def scan(folder: Path) -> list[Video]:
    """Lists the clips of a DAiSEE folder, sorted by id, and tells what lacks its other half.

    Raises:
        DataError: The folder or a label file is missing, or there is no clip.
    """
    data = folder / "DataSet"
    if not data.is_dir():
        raise DataError(f"--source {folder}: no folder DataSet in it; docs/data.md says where to get DAiSEE.")
    videos: dict[str, Video] = {}
    copies = Counter[str]()
    for name, split in SPLITS.items():
        found = sorted((data / name).rglob("*"))
        paths = [path for path in found if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]
        table = folder / "Labels" / f"{name}Labels.csv"
        labels = read_labels(table) if paths or table.exists() else {}
        tell_unmatched(name, labels, {path.stem for path in paths})
        for path in paths:
            place, clip = plain(path.relative_to(folder).as_posix()), plain(path.stem)
            level, who = labels.get(clip), participant(path.relative_to(data / name).parts)
            reason, vector = "", None
            if known := videos.get(clip):
                if _engagement.is_copy(known, replace(known, path=path, group=who, split=split)):
                    copies["copies of a video"] += 1
                    continue
                reason = f"same clip as {known.name}"
                clip = place
            elif not who:
                reason = f"not in a folder {name}/<user>/<clip>"
            elif level is None:
                reason = f"no label in {name}Labels.csv"
            elif level not in ("0", "1", "2", "3"):
                reason = f"engagement {level!r} is not one of 0 to 3"
            else:
                vector = np.eye(3, dtype=np.float32)[[FOUR_TO_THREE[int(level)]]]
            videos[clip] = Video(clip, path, place, who, split, vector, reason=reason)
    if not videos:
        raise DataError(
            f"--source {folder}: no .avi or .mp4 in DataSet/Train/<user>/<clip>/ and the like (docs/data.md)."
        )
    tell_counts(copies)
    return [videos[clip] for clip in sorted(videos)]


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    return _engagement.run(args, "daisee", scan(args.source))
