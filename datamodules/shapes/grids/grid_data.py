"""The base of frames and windows of videos on a grid: options, batches, targets, class weights, items to embed."""

import math
from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules import augment, still_augment
from datamodules.base import EmotionDataModule
from datamodules.batches import Batch, ClipDataset, Split, global_seed, zero_absent
from datamodules.errors import DataError
from datamodules.shapes.grids.grid import MODALITIES, Grid
from datamodules.shapes.grids.window_rules import hard_targets, soft_targets

Modality = Literal["face", "affect", "kinesics"]
Kinesics = Literal["body", "joints"]


class GridDataModule(EmotionDataModule):
    """Base of the DataModules of frames and windows of videos, on a grid of 5 steps a second.

    The class weights count the label mass of all labelled steps of the training videos, so that every model has the
    same ones; the paper's sum to 1 over the classes, these have mean 1 over the steps, which differs in scale alone.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``face``, ``affect`` (the face for the emotion model) and ``kinesics`` to read.
        kinesics: What that modality is: ``body`` crops or ``joints``.
        augment: Augment training pictures by `still_augment`, every frame of a window alike.
        cache: Have frozen encoders run once, ahead of training.
        **kwargs: See `EmotionDataModule`.
    """

    step_kinds: ClassVar[dict[str, str]] = {}  # of clips, by the array that they are read from

    def __init__(
        self,
        root: str,
        modalities: list[Modality],
        kinesics: Kinesics = "body",
        augment: bool = False,
        cache: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        if not modalities or len(set(modalities)) < len(modalities):
            raise DataError(f"--data.modalities {modalities}: name each wanted one of {', '.join(MODALITIES)} once")
        self.modalities: list[str] = list(modalities)
        self.kinesics = kinesics
        self.augment = augment
        self.cache = cache
        self.require: list[str] = []
        self.check_missing(self.modalities)

    @abstractmethod
    def open_grid(self) -> Grid:
        """Return the videos."""

    @abstractmethod
    def stretches(self, split: Split) -> ClipDataset:
        """Return the frames or windows of a split, possibly none."""

    @abstractmethod
    def read(self, modality: str, steps: np.ndarray) -> Tensor:
        """Return batched values of the clips that begin at these grid steps ``(B,)``."""

    @cached_property
    def grid(self) -> Grid:
        """The videos."""
        grid = self.open_grid()
        for modality in dict.fromkeys([*self.modalities, *self.require]):
            try:
                grid.shape(modality)
            except DataError as error:
                if modality in self.modalities:
                    raise
                shown = ", ".join(self.modalities)
                raise DataError(
                    f"--data.require names {modality}: {error}.\nOr give --data.require [{shown}]"
                ) from None
        return grid

    @property
    def input_facts(self) -> dict[str, dict[str, Any]]:
        """Statistics of the pixels."""
        pixels = {"mean": augment.IMAGENET_MEAN, "std": augment.IMAGENET_STD}
        return dict.fromkeys(self.modalities, pixels)

    def grid_reading(self, data: str, **options: Any) -> dict[str, Any]:
        """Return `reading` of the DataModule of frames or windows of any clip with some options."""
        read = {"modalities": self.modalities, "kinesics": self.kinesics, **options}
        return {"data": data, "options": read, "arrays": [self.grid.arrays[name] for name in self.modalities]}

    @property
    def augmented(self) -> bool:  # type: ignore[override]
        """Whether training pictures are augmented."""
        return self.augment

    @property
    def class_weights(self) -> list[float] | None:
        """Inverse label mass over the steps of the training videos; None where not asked for."""
        if self.class_weighting == "none" or not self.class_names:
            return super().class_weights
        grid = self.grid
        steps = grid.labelled & np.repeat(grid.splits == "train", np.diff(grid.first))
        mass = grid.labels[steps].sum(0, dtype=np.float64)
        return [float(mass.sum() / (np.count_nonzero(mass) * part)) if part else 0.0 for part in mass]

    @property
    def train_labels(self) -> np.ndarray:
        """Most probable class ``(N,)`` of the training clips."""
        targets = self._split("train").targets
        assert isinstance(targets, Tensor)
        return np.asarray(targets.numpy().argmax(1))

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        clips = self.stretches(split)
        if not len(clips):
            folders = ", ".join(str(store.folder.parent) for store in self.grid.stores)
            raise DataError(f"no {split} clips in {folders}: {self._why_none(split)}")
        return clips

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add frames or windows that begin at these grid steps."""
        for modality in self.modalities:
            values, present = self.read(modality, rows), batch["mask"][modality]
            batch[modality] = zero_absent(values, present) if modality in self.missing else values

    def _why_none(self, split: Split) -> str:
        return "no video" if not len(self.grid.videos(split)) else f"no step shows {', '.join(self.modalities)}"

    def stretch_targets(self, split: Split, starts: np.ndarray, length: int) -> Tensor | dict[str, Tensor]:
        """Return each stretch's mean label in train, its most frequent class (the smallest of a tie) in evaluation."""
        make = soft_targets if split == "train" else hard_targets
        return torch.from_numpy(make(self.grid.labels, starts, length))

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read and there."""
        grid = self.grid
        there = [name for name in self.modalities if all(grid.arrays[name] in store.arrays for store in grid.stores)]
        return {name: self.step_kinds[grid.arrays[name]] for name in there}

    def shape(self, modality: str) -> list[int]:
        """Return the shape of one step of a modality as the model sees it."""
        if modality in self.embeddings:
            return list(self.embeddings[modality].shape[1:])
        stored = self.grid.shape(modality)
        return [3, *stored[:2]] if len(stored) == 3 else stored

    def count_items(self, modality: str) -> int:
        """Return the number of raw items of a modality: every grid step of every video."""
        self._check(modality)
        return len(self.grid)

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return raw items as an encoder sees them, in store order.

        Args:
            modality: Which.
            start: First item.
            stop: One past the last.

        Returns:
            float32 ``(n, 3, S, S)`` normalised, or ``(n, 17, 3)`` joints; unseen steps are zeros.
        """
        self._check(modality)
        steps = np.arange(start, min(stop, len(self.grid)))
        values = self.to_model_input(torch.from_numpy(self.grid.take(modality, steps)))
        return zero_absent(values, torch.from_numpy(self.grid.visible(modality)[steps]))

    def _check(self, modality: str) -> None:
        if modality not in self.modalities:
            raise DataError(f"--data.modalities lacks {modality}; it has {', '.join(self.modalities)}")

    @staticmethod
    def to_model_input(values: Tensor) -> Tensor:
        """Convert stored pictures ``(..., S, S, 3)`` to the model's ``(..., 3, S, S)``; leave other values alone."""
        if values.dtype != torch.uint8:
            return values
        frames = values.reshape(1, math.prod(values.shape[:-3]), *values.shape[-3:])
        normalised = augment.to_float(frames)[0].transpose(0, 1)  # (1, 3, N, S, S) before
        return normalised.reshape(*values.shape[:-3], *normalised.shape[1:])

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert values to the model's input on its device: pictures normalised, in training augmented."""
        trainer = self.trainer
        shown = {modality: batch[modality] for modality in self.modalities}
        if self.augment and trainer is not None and trainer.training:
            shown = {modality: self._augmented(values, batch["id"]) for modality, values in shown.items()}
        return batch | {modality: self.to_model_input(values) for modality, values in shown.items()}

    def _augmented(self, values: Tensor, ids: list[str]) -> Tensor:
        if values.dtype != torch.uint8:
            return values
        assert self.trainer is not None
        transform = still_augment.make_transform()
        windows = values if values.ndim == 5 else values[:, None]
        changed = still_augment.augment(windows, ids, global_seed(), self.trainer.current_epoch, transform)
        return changed.view(values.shape)
