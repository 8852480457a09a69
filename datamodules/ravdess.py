"""RAVDESS (Livingstone & Russo 2018): acted speech of 24 speakers in eight emotions, video and audio.

Source: https://zenodo.org/records/1188976 (CC BY-NC-SA 4.0). Folds and inputs are those of MSAF and CFN-SR: six
folds of four consecutive actors, 30 frames spread over the clip, 13 MFCCs of 2.45 s.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.catalogues.ravdess import EMOTIONS, RAVDESS
from datamodules.shapes.clip_arrays import ClipArraysDataModule
from datamodules.shapes.division import COMMITTED, fold_numbers, read_division

SPLITS = COMMITTED / "ravdess.csv"


class RAVDESSDataModule(ClipArraysDataModule):
    """RAVDESS speech from the prepared store, by speaker-independent folds.

    Under ``paper`` the epoch is selected on the test fold; under ``honest`` on the next fold's actors, who then do not
    train. Folds 0 to 5: actors 01-04, 05-08, ..., 21-24 are the test speakers.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``video``, ``audio`` (MFCCs) and ``wave`` (the sound itself) to read; the first two where
            not given.
        splits: CSV with columns clip, speaker, fold; the committed file where not given.
        **kwargs: See `ClipArraysDataModule`.
    """

    corpus = "ravdess"
    num_folds = 6

    def __init__(
        self,
        root: str = "data/ravdess",
        modalities: list[Literal["video", "audio", "wave"]] | None = None,
        splits: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, modalities=modalities, **kwargs)
        self.splits = Path(splits) if splits else SPLITS

    @property
    def class_names(self) -> list[str]:
        """The eight emotions in the order of their codes 01 to 08."""
        return list(EMOTIONS)

    @property
    def targets(self) -> Tensor:
        """Emotion of every clip of the store, int64 ``(N,)``."""
        return torch.from_numpy(self.store.labels)

    @property
    def train_labels(self) -> np.ndarray:
        """Emotions of the training clips."""
        return np.asarray(self.store.labels[self.rows["train"]])

    @cached_property
    def folds(self) -> np.ndarray:
        """Test fold of every clip of the store, ``(N,)``.

        Raises:
            DataError: If the split file is missing, lacks a column or clip or contradicts the store's speakers.
        """
        trials = {clip: RAVDESS.listed(clip) for clip in self.store.ids}
        clips = list(zip(self.store.ids, self.store.groups, strict=True))
        rows = read_division(self.splits, clips, ("clip", "speaker", "fold"), self.root, trials.__getitem__)
        return fold_numbers([row["fold"] for row in rows], list(trials.values()), self.splits.name, self.num_folds)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: A split is empty or two splits share an actor.
        """
        return self.split_by_fold(self.folds, self.store.groups, self.splits.name)
