"""Frames of clips of any catalogue, and windows over them: the clip's label counts at each.

Where labels change over time (NoXi), a frame or window has its own.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.batches import ClipDataset, Split
from datamodules.errors import DataError
from datamodules.shapes.divided import DividedDataModule
from datamodules.shapes.grids.grid import MODALITIES, Grid
from datamodules.shapes.grids.grid_data import GridDataModule, Kinesics, Modality
from datamodules.shapes.grids.window_rules import FPS
from datamodules.shapes.grids.windows import FramesDataModule, WindowsDataModule


class ClipGrid(DividedDataModule, GridDataModule):
    """Clips of a store with the grid of the view `people`, by the folds or splits of `DividedDataModule`.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``face``, ``affect`` (the face for the emotion model) and ``kinesics`` to read; what the
            model reads, or the face, where not given.
        kinesics: What that modality is: ``body`` crops or ``joints``; what the model reads, or ``body``, where not
            given.
        reads: Kind by modality of what the model reads; the command line asks the model.
        **kwargs: See `DividedDataModule` and `GridDataModule`.
    """

    def __init__(
        self,
        root: str = "data/clips",
        modalities: list[Modality] | None = None,
        kinesics: Kinesics | None = None,
        reads: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        reads = reads or {}
        given = kinesics or ("joints" if reads.get("kinesics", "").endswith("joints") else "body")
        found = [name for name in MODALITIES if name in reads] or ["face"]
        super().__init__(root, modalities=found if modalities is None else modalities, kinesics=given, **kwargs)
        array_of = {**dict.fromkeys(MODALITIES, "face"), "kinesics": self.kinesics}
        if absent := [name for name in self.require if array_of[name] not in self.store.arrays]:
            rank_zero_warn(f"--data.require: {self.folder} has no {', '.join(absent)}, which no window has to show")
            self.require = [name for name in self.require if name not in absent]

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read and there; none of a store without the grid."""
        return super().input_kinds if "face_seen" in self.store.arrays else {}

    def open_grid(self) -> Grid:
        """Return the clips, those in no split and those without a label among them.

        Raises:
            DataError: The store has no grid.
        """
        store, labels = self.store, self.labels
        if "face_seen" not in store.arrays:
            raise DataError(f"{store.folder} holds no face at every fifth of a second, but {', '.join(store.arrays)}")
        splits = np.full(len(store), "", object)
        for split, rows in self.rows.items():
            splits[rows] = split
        by_clip = bool(self.tasks) or "labels" not in store.arrays
        if not by_clip:
            return Grid([store], self.kinesics, store.groups, splits)
        whole = next((of for of in labels.by_task.values() if of.ndim == 2), None)  # shares
        if whole is None:
            whole = (labels.indices[:, None] == np.arange(len(self.class_names))).astype(np.float32)
            whole[labels.indices < 0] = np.nan
        return Grid([store], self.kinesics, store.groups, splits, whole, labels.known)

    def stretch_targets(self, split: Split, starts: np.ndarray, length: int) -> Tensor | dict[str, Tensor]:
        """Return the targets of frames or windows: of several tasks those of their clips."""
        targets = self.targets
        if not isinstance(targets, dict):
            return super().stretch_targets(split, starts, length)
        clips = torch.from_numpy(self.grid.video_of(starts))
        return {task: of[clips] for task, of in targets.items()}

    @property
    def train_labels(self) -> np.ndarray:
        """Most probable class ``(N,)`` of the training frames or windows; -1 where one has none."""
        stretches = self._split("train")
        if isinstance(stretches.targets, Tensor):
            return np.asarray(stretches.targets.numpy().argmax(1))
        return np.asarray(self.labels.indices[self.grid.video_of(stretches.rows)])


class ClipFrames(ClipGrid, FramesDataModule):
    """Single frames of clips, five a second, that show every modality; see `ClipGrid` and `FramesDataModule`."""

    views_of_kinds: ClassVar[dict[str, str]] = dict.fromkeys(FramesDataModule.step_kinds.values(), "people")

    def stretches(self, split: Split) -> ClipDataset:
        """Return the frames of a split; say how many clips have none."""
        found, clips = super().stretches(split), self.grid.videos(split)
        if absent := len(np.setdiff1d(clips, self.grid.video_of(found.rows))):
            rank_zero_warn(
                f"{self.folder}: {absent} of {len(clips)} {split} clips show {' and '.join(self.modalities)} in no "
                "frame and are left out"
            )
        return found


class ClipWindows(ClipGrid, WindowsDataModule):
    """Windows over clips, ids ``<clip>@<from>-<to>`` in seconds; see `ClipGrid` and `WindowsDataModule`."""

    views_of_kinds: ClassVar[dict[str, str]] = dict.fromkeys(WindowsDataModule.step_kinds.values(), "people")

    def stretches(self, split: Split) -> ClipDataset:
        """Return the windows of a split; say how many clips have none and how many windows show nothing."""
        found, clips = self.windows(split), len(self.grid.videos(split))
        if found.too_short:
            rank_zero_warn(
                f"{self.folder}: {found.too_short} of {clips} {split} clips are shorter than a window of "
                f"{self.length / FPS:g} s and are left out; --data.window SECONDS takes shorter ones"
            )
        if found.unseen:
            rank_zero_warn(
                f"{self.folder}: {found.unseen} {split} windows show {' or '.join(self.require)} in less than half of "
                "their steps and are left out"
            )
        return super().stretches(split)
