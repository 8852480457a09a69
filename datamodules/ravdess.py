"""RAVDESS (Livingstone & Russo 2018): acted speech of 24 speakers in eight emotions, video and audio.

Source: https://zenodo.org/records/1188976 (CC BY-NC-SA 4.0). Folds and inputs are those of MSAF and CFN-SR: six
folds of four consecutive actors, 30 frames spread over the clip, 13 MFCCs of 2.45 s.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.catalogues.ravdess import EMOTIONS
from datamodules.errors import DataError
from datamodules.reading.tables import read_table, settle
from datamodules.shapes.clips import ClipsDataModule

FOLDS = ["0", "1", "2", "3", "4", "5"]
SPLITS = Path(__file__).parent / "splits" / "ravdess.csv"


class RAVDESSDataModule(ClipsDataModule):
    """RAVDESS speech from the prepared store, by speaker-independent folds.

    Under ``paper`` the epoch is selected on the test fold; under ``honest`` on the next fold's actors, who then do not
    train. Folds 0 to 5: actors 01-04, 05-08, ..., 21-24 are the test speakers.

    Args:
        root: Folder of the corpus.
        splits: CSV with columns clip, speaker, fold; the committed file where not given.
        **kwargs: See `ClipsDataModule`.
    """

    corpus = "ravdess"
    num_folds = len(FOLDS)

    def __init__(self, root: str = "data/ravdess", splits: str | None = None, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.splits = Path(splits) if splits else SPLITS

    @property
    def class_names(self) -> list[str]:
        """The eight emotions in the order of their codes 01 to 08."""
        return list(EMOTIONS)

    @property
    def folds_source(self) -> str:
        """Name of the split file."""
        return self.splits.name

    @cached_property
    def folds(self) -> np.ndarray:
        """Test fold of every clip of the store, ``(N,)``.

        Raises:
            DataError: If the split file is missing, lacks a column or clip or contradicts the store's speakers.
        """
        rows = read_table(self.splits, ("clip", "speaker", "fold"), "--data.splits")
        split, copies = settle(
            (row["clip"], {name: row[name] for name in ("speaker", "fold")}, row.place) for row in rows
        )
        if copies:
            rank_zero_warn(f"--data.splits {self.splits}: {copies} rows come twice and count once")
        folds = []
        for clip, speaker in zip(self.store.ids, self.store.groups, strict=True):
            row = split.get(clip[3:])  # audio-only and audio-video names differ in the first field alone
            if row is None:
                raise DataError(f"{self.splits.name} does not list clip {clip} of {self.root}")
            if row["speaker"] != speaker:
                raise DataError(f"{self.splits.name} gives clip {clip} to speaker {row['speaker']}, not {speaker}")
            if row["fold"] not in FOLDS:
                raise DataError(f"{self.splits.name}: fold {row['fold']!r} of clip {clip[3:]} is not one of 0 to 5")
            folds.append(FOLDS.index(row["fold"]))
        return np.array(folds)
