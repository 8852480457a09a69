"""Clips: one row of a store each, with pictures over time, coefficients, a wave, in any combination."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from datamodules import augment
from datamodules.batches import Batch, ClipDataset, Split, global_seed
from datamodules.errors import DataError
from datamodules.shapes.stored import StoredDataModule
from datamodules.store.reader import Store

WAVE_RATE = 44100  # Hz


class ClipsDataModule(StoredDataModule):
    """Clips of one person each, of several modalities, by folds that divide no person.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``video``, ``audio`` (MFCCs) and ``wave`` (the sound itself) to read; the first two where
            not given.
        frames: How many of the stored frames to use, spread evenly; all where not given.
        image_size: Height and width that the model sees; the stored size where not given.
        augment: Random resized crop and horizontal flip of training clips.
        augment_scope: One draw per clip, or ``frame`` as the code released with CFN-SR has it.
        wave_seconds: Length of the wave: the middle of a longer clip, zeros after a shorter one.
        color_order: ``bgr`` as the code released with CFN-SR has it.
        **kwargs: See `StoredDataModule`.
    """

    arrays: ClassVar[dict[str, str]] = {"video": "video", "audio": "mfcc", "wave": "wave"}

    def __init__(
        self,
        root: str,
        modalities: list[Literal["video", "audio", "wave"]] | None = None,
        frames: int | None = None,
        image_size: int | None = None,
        augment: bool = True,
        augment_scope: Literal["clip", "frame"] = "clip",
        wave_seconds: float = 4.0,
        color_order: Literal["rgb", "bgr"] = "rgb",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        if image_size is not None and image_size < 1:
            raise DataError(f"--data.image_size {image_size}: at least 1")
        if wave_seconds <= 0:
            raise DataError(f"--data.wave_seconds {wave_seconds}: more than 0")
        if modalities is not None and not modalities:
            raise DataError(f"--data.modalities []: name at least one of {', '.join(self.arrays)}")
        self.modalities: list[str] = list(modalities or ["video", "audio"])
        self.frames = frames
        self.image_size = image_size
        self.wave_samples = round(WAVE_RATE * wave_seconds)
        self.augment = augment
        self.augment_scope = augment_scope
        self.color_order = color_order
        self.check_missing(self.modalities)

    def check_store(self, store: Store) -> None:
        """Refuse a store without a modality, or with waves of another rate."""
        there = [name for name, array in self.arrays.items() if array in store.arrays]
        if lacking := [name for name in self.modalities if name not in there]:
            left = ", ".join([name for name in self.modalities if name in there] or there)
            use = f"--data.modalities [{left}]" if left else "another store, --data.store or --data.root"
            raise DataError(f"{store.folder} holds no {lacking[0]}, but {', '.join(store.arrays)}; use {use}")
        rate = store.setting("wave", "rate", old="audio", default=WAVE_RATE)
        if "wave" in self.modalities and rate != WAVE_RATE:
            raise DataError(
                f"{store.folder} holds waves of {rate} Hz, {WAVE_RATE} are needed: prepare with "
                f"--views.wave.rate {WAVE_RATE}"
            )

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"video": [3, T, H, W], "audio": [13, 212], "wave": [S]}`` for the modalities read."""
        shapes = {modality: list(self.store.shape(self.arrays[modality], 0)) for modality in self.modalities}
        if "video" in shapes:
            stored, height, width, channels = shapes["video"]
            if self.frames is not None and not 1 <= self.frames <= stored:
                raise DataError(f"--data.frames {self.frames}: the store holds {stored} frames a clip")
            size = (self.image_size, self.image_size) if self.image_size else (height, width)
            shapes["video"] = [channels, self.frames or stored, *size]
        if "wave" in shapes:
            shapes["wave"] = [self.wave_samples]
        return shapes

    @property
    @abstractmethod
    def folds(self) -> np.ndarray:
        """Test fold of every clip of the store, ``(N,)``."""

    @property
    def folds_source(self) -> str:
        """Source of the folds, for messages."""
        return str(self.folder / "index.csv")

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: A split is empty or two splits share a person.
        """
        return self.split_by_fold(self.folds, self.store.groups, self.folds_source)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips."""
        return np.asarray(self.store.labels[self.rows["train"]])

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows = self.rows[split]
        return self.clips(rows, torch.from_numpy(self.store.labels[rows]))

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add video uint8 ``(B, T, H, W, 3)``, audio ``(B, 13, 212)``, wave int16 ``(B, S)``, and their lengths."""
        for modality in self.modalities:
            values = np.stack([self.read(modality, row) for row in rows])
            values[~batch["mask"][modality].numpy()] = 0
            batch[modality] = torch.from_numpy(values)
            batch["length"][modality] = torch.tensor([self.valid_steps(modality, row) for row in rows])

    def read(self, modality: str, row: int) -> np.ndarray:
        """Return one stored clip, with the asked-for number of frames or samples."""
        values = self.store.read(self.arrays[modality], row)
        if modality == "wave":
            first = max(len(values) - self.wave_samples, 0) // 2
            part = values[first : first + self.wave_samples]
            return np.pad(part, (0, self.wave_samples - len(part)))
        if modality == "video" and self.frames and self.frames != len(values):
            values = values[np.linspace(0, len(values) - 1, self.frames).round().astype(int)]
        return values

    def valid_steps(self, modality: str, row: int) -> int:
        """Return the number of frames, MFCC steps or samples of a clip, without padding."""
        steps = self.store.shape(self.arrays[modality], row)[-1 if modality == "audio" else 0]
        return min(steps, {"video": self.frames or steps, "audio": steps, "wave": self.wave_samples}[modality])

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Make what the model sees, on its device: normalised, resized, augmented in training; sound as float."""
        if "wave" in self.modalities:
            batch = {**batch, "wave": batch["wave"].float() / 32768}
        if "video" not in self.modalities:
            return batch
        video, trainer = batch["video"], self.trainer
        clips, frames, height, width, _ = video.shape
        views = augment.whole_views(clips, (height, width))
        if self.augment and trainer is not None and trainer.training:
            epoch, scope = trainer.current_epoch, self.augment_scope
            views = augment.draw_views(global_seed(), epoch, batch["id"], frames, (height, width), scope)
        video = augment.resample(video, views, self.image_size or height)
        return {**batch, "video": augment.to_float(video, self.color_order)}
