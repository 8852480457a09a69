"""DAiSEE (Gupta et al. 2016, https://arxiv.org/abs/1609.01885): learners before a webcam, a level a clip.

``DataSet/{Train,Validation,Test}/.../<user>/<clip>/<clip>.avi`` (or .mp4) and
``Labels/{Train,Validation,Test}Labels.csv`` with ClipID and Engagement from 0 to 3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry, Media, Series
from datamodules.errors import DataError
from datamodules.reading.engagement_videos import CLASSES, EngagementVideos
from datamodules.reading.files import files_in, place_in, plain
from datamodules.reading.matches import print_copies, print_unmatched
from datamodules.reading.tables import Table, settle

SPLITS = {"Train": "train", "Validation": "val", "Test": "test"}
CLASS_OF_LEVEL = {"0": 0, "1": 1, "2": 1, "3": 2}  # the lowest alone is disengaged, the highest alone engaged


@dataclass(frozen=True)
class DAiSEE(EngagementVideos):
    """A folder of DAiSEE; the folder above a clip's own is the participant."""

    name: ClassVar[str] = "daisee"
    key: ClassVar[str] = "clip"
    expected: ClassVar[str] = ".avi or .mp4 in DataSet/Train/<user>/<clip>/ and the like"

    def videos(self, source: Path) -> Iterator[Entry]:
        """Yield the clips of every split and print which labels and files have no counterpart.

        Raises:
            DataError: The folder of the clips or a label file is missing, or labels a clip twice differently.
        """
        data = source / "DataSet"
        if not data.is_dir():
            raise DataError(f"--source {source}: no folder DataSet in it; docs/data.md says where to get DAiSEE.")
        for name, split in SPLITS.items():
            paths = files_in(data / name, (".avi", ".mp4"))
            table = source / "Labels" / f"{name}Labels.csv"
            levels = read_levels(table) if paths or table.exists() else {}
            print_unmatched(name, levels, {path.stem for path in paths})
            for path in paths:
                clip, who = plain(path.stem), participant(path.relative_to(data / name).parts)
                level, labels, problem = levels.get(clip), {}, ""
                if not who:
                    problem = f"not in a folder {name}/<user>/<clip>"
                elif level is None:
                    problem = f"no label in {table.name}"
                elif level not in CLASS_OF_LEVEL:
                    problem = f"engagement {level!r} is not one of 0 to 3"
                else:
                    row = np.eye(len(CLASSES), dtype=np.float32)[[CLASS_OF_LEVEL[level]]]
                    labels = {"engagement": Series(row)}
                media = {"video": Media(path)}
                yield Entry(clip, who, place_in(source, path), media, labels=labels, split=split, problem=problem)


def read_levels(path: Path) -> dict[str, str]:
    """Return the engagement by clip, as written.

    Raises:
        DataError: It cannot be read, lacks a column or labels a clip twice differently.
    """
    rows = Table(path, ("ClipID", "Engagement"))
    levels, copies = settle((Path(row["ClipID"]).stem, row["Engagement"], row.place) for row in rows)
    print_copies(path, copies)
    return levels


def participant(parts: Sequence[str]) -> str:
    """Return who a clip shows: the folder above the clip's own, or above the clip where it has none; or nobody.

    Args:
        parts: Its path below the folder of the split; there may be further levels above the participant.
    """
    folders = list(parts[:-1])
    if folders and folders[-1] == Path(parts[-1]).stem:
        folders.pop()
    return folders[-1] if folders else ""
