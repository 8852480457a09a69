"""Clips: one row of a store each, read from arrays of several kinds in any combination."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.base import Normalize
from datamodules.batches import Batch, ClipDataset, Split
from datamodules.errors import DataError
from datamodules.shapes.kinds.kind import Kind
from datamodules.shapes.kinds.lookup import find_array, kind_of
from datamodules.shapes.kinds.whole_frames import Normalization
from datamodules.shapes.scaling import BY_SPEAKER, BY_TRAINING, Scaling, refuse_to_standardize
from datamodules.shapes.stored import StoredDataModule


class ClipArraysDataModule(StoredDataModule):
    """Clips of a prepared store, as `datamodules.shapes.kinds` reads its arrays.

    Args:
        root: Folder of the corpus.
        modalities: Which of ``video`` (face crops), ``audio`` (MFCCs) and ``wave`` (the sound itself) to read; the
            first two where not given.
        frames: How many of the stored face crops to use, spread evenly; all where not given.
        image_size: Height and width that the model sees of them; the stored size where not given.
        augment: Random resized crop and horizontal flip of training clips.
        augment_scope: One draw per clip, or ``frame`` as the code released with CFN-SR has it.
        wave_seconds: Length of the wave: the middle of a longer clip, zeros after a shorter one.
        color_order: ``bgr`` as the code released with CFN-SR has it.
        normalize: ``speaker`` centres and scales the features of every speaker with the statistics of all clips of that
            speaker, those of the test too; no label is read. Stamps results TRANSDUCTIVE.
        standardize: Modalities whose features are centred and scaled with the statistics of the training clips, or all
            that have features; of no effect where ``normalize`` has standardised them.
        statistics: Mean and deviation by modality, of such a training, in place of those of the training clips here.
        **kwargs: See `StoredDataModule`.
    """

    array_of: Mapping[str, str] = {"video": "video", "audio": "mfcc", "wave": "wave"}  # by modality
    normalization: Normalization = "half"  # of whole frames

    def __init__(
        self,
        root: str,
        modalities: Sequence[str] | None = None,
        frames: int | None = None,
        image_size: int | None = None,
        augment: bool = True,
        augment_scope: Literal["clip", "frame"] = "clip",
        wave_seconds: float = 4.0,
        color_order: Literal["rgb", "bgr"] = "rgb",
        normalize: Normalize = "none",
        standardize: list[str] | Literal["all"] | None = None,
        statistics: dict[str, list[Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        if image_size is not None and image_size < 1:
            raise DataError(f"--data.image_size {image_size}: at least 1")
        if wave_seconds <= 0:
            raise DataError(f"--data.wave_seconds {wave_seconds}: more than 0")
        if modalities is not None and not modalities:
            raise DataError(f"--data.modalities []: name at least one of {', '.join(self.array_of)}")
        self.modalities: list[str] = self.default_modalities() if modalities is None else list(modalities)
        self.frames = frames
        self.image_size = image_size
        self.wave_seconds = wave_seconds
        self.augment = augment
        self.augment_scope = augment_scope
        self.color_order = color_order
        self.normalize = normalize
        self.statistics, self.standardize_all = statistics or {}, standardize == "all"
        self.standardize: list[str] = [] if self.standardize_all else list(standardize or [])
        if lost := set(self.standardize) - set(self.modalities):
            raise DataError(
                f"{BY_TRAINING}: {min(lost)} is not read; --data.modalities has {', '.join(self.modalities)}"
            )
        self.check_missing(self.modalities)

    def default_modalities(self) -> list[str]:
        """Return the modalities that are read where nobody names any."""
        return ["video", "audio"]

    @property
    @abstractmethod
    def targets(self) -> Tensor | dict[str, Tensor]:
        """Label of every clip of the store, ``(N, ...)``, or a dict of these by task."""

    @property
    @abstractmethod
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split."""

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The array that each modality is read from, by modality.

        Raises:
            DataError: The store lacks one, or it is of a view that is not read here.
        """
        store = self.store
        found = {name: array for name, of in self.array_of.items() if (array := find_array(store, of))}
        wanted = [name for name in self.modalities if name in self.array_of]
        if lacking := [name for name in wanted if name not in found]:
            left = ", ".join([name for name in wanted if name in found] or found)
            use = (
                f"use --data.modalities [{left}]"
                if left
                else "name these in --data.modalities, or another --data.store"
            )
            raise DataError(f"{store.folder} holds no {lacking[0]}, but {', '.join(store.arrays)}; {use}")
        kinds = {name: kind_of(store, found[name], self) for name in wanted}
        for name, kind in kinds.items():  # refused here, not in the first batch
            kind.scaling = self._scaling(name, kind)
        return kinds

    def _scaling(self, name: str, kind: Kind) -> Scaling | None:
        option = BY_SPEAKER if self.transductive else BY_TRAINING
        if kind.step_axes is None:
            if self.transductive or name in self.standardize or name in self.statistics:
                raise refuse_to_standardize(name, f"{kind.view}, no features", option)
            return None
        if self.transductive:
            return Scaling.of_speakers(self.store.groups, kind.there, kind.read_one, kind.step_axes)
        if name in self.statistics:
            return Scaling.of_plain(self.statistics[name], kind.read_one(kind.first).shape, kind.step_axes)
        if not self.standardize_all and name not in self.standardize:
            return None
        train = [row for row in self.rows["train"] if kind.there[row]]
        if not train:
            raise DataError(f"{BY_TRAINING}: no training clip has {name}; leave it out")
        return Scaling.of_clips(np.array(train), kind.read_one, kind.step_axes)

    def scale_as(self, state_dict: dict[str, Any]) -> None:
        """Standardise as the training of a checkpoint did, whatever was asked for here."""
        reading: dict[str, Any] = state_dict.get("reading") or {}
        if reading.get("data") != "ClipsDataModule" or self.transductive:
            return
        self.statistics, self.standardize, self.standardize_all = reading["options"].get("statistics") or {}, [], False
        for name, kind in self.__dict__.get("kinds", {}).items():  # of those that are known already
            kind.scaling = self._scaling(name, kind)

    @property
    def fitted(self) -> dict[str, list[Any]]:
        """Mean and deviation by modality of what is standardised by training clips, as plain values."""
        if self.transductive:
            return {}
        return {name: kind.scaling.plain for name, kind in self.kinds.items() if kind.scaling is not None}

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read."""
        return {modality: kind.name for modality, kind in self.kinds.items()}

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"video": [3, T, H, W], "audio": [13, 212], "wave": [S]}`` for the modalities read."""
        return {modality: kind.shape for modality, kind in self.kinds.items()}

    @property
    def input_facts(self) -> dict[str, dict[str, Any]]:
        """What the numbers of each modality mean."""
        return {modality: kind.facts for modality, kind in self.kinds.items()}

    @property
    def reading(self) -> dict[str, Any]:
        """How any clip becomes a batch like these: the options that say what is shown of the arrays."""
        arrays = {modality: kind.array for modality, kind in self.kinds.items()}
        shown = ("modalities", "frames", "image_size", "wave_seconds", "color_order", "normalization")
        options = {name: getattr(self, name) for name in shown} | ({"statistics": of} if (of := self.fitted) else {})
        return {"data": "ClipsDataModule", "options": {**options, "arrays": arrays}, "arrays": list(arrays.values())}

    def is_augmented(self, modality: str) -> bool:
        """Return whether training shows a modality otherwise than it is stored."""
        return self.augment and modality in self.kinds and self.kinds[modality].augments

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows, targets = self.rows[split], self.targets
        if isinstance(targets, dict):
            return self.clips(rows, {task: of[rows] for task, of in targets.items()})
        return self.clips(rows, targets[rows])

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add every modality as its kind holds it, with the lengths of what is padded and which steps show a face."""
        for modality, kind in self.kinds.items():
            present = batch["mask"][modality] & torch.from_numpy(kind.there[rows])
            if modality in self.embeddings:
                values = kind.embedded(self.embeddings[modality], rows, present)
            else:
                values = torch.from_numpy(kind.read(rows, present.numpy()))
                silent = kind.is_silent(values)
                present = present if silent is None else present & ~silent
                if kind.scaling is not None:
                    values = torch.from_numpy(kind.scaling.apply(values.numpy(), rows))
            marks = [kind.seen(row) for row in rows]
            if marks[0] is not None:
                seen = torch.from_numpy(np.stack([mark for mark in marks if mark is not None])) & present[:, None]
                batch.setdefault("seen", {})[modality], present = seen, seen.any(1)
            batch[modality], batch["mask"][modality] = values, present
            steps = [kind.valid_steps(row) for row in rows]
            if None not in steps:
                batch["length"][modality] = torch.tensor(steps)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Make what the model sees, on its device: normalised, resized, augmented in training; sound as float."""
        trainer = self.trainer
        epoch = trainer.current_epoch if self.augment and trainer is not None and trainer.training else None
        seen = {
            modality: kind.to_model_input(batch[modality], batch["mask"][modality], batch["id"], epoch)
            for modality, kind in self.kinds.items()
            if modality not in self.embeddings
        }
        return {**batch, **seen}

    def count_items(self, modality: str) -> int:
        """Return the number of items of all clips: groups of frames, or texts."""
        per_clip = self.kinds[modality].items_per_clip if modality in self.kinds else 0
        return len(self.store) * per_clip if per_clip else super().count_items(modality)

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return items as an encoder takes them."""
        return self.kinds[modality].items(start, min(stop, self.count_items(modality)))

    def items_key(self, modality: str) -> str:
        """Return what items depend on besides the store and their number."""
        return self.kinds[modality].items_key
