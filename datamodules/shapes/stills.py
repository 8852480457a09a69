"""Stills: one face of a store each, by official splits, with a category and values as targets by task."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules import still_augment
from datamodules.augment import to_float
from datamodules.batches import Batch, ClipDataset, Split, global_seed
from datamodules.entries import SPLITS
from datamodules.errors import DataError
from datamodules.media.near_duplicates import duplicated_across_splits
from datamodules.shapes.stored import StoredDataModule


class StillsDataModule(StoredDataModule):
    """Stills of a store that holds ``face``, ``affect`` (the values), ``split`` and ``thumbnail``.

    Batches hold ``face`` uint8 ``(B, S, S, 3)``, on the device float ``(B, 3, S, S)``; ``target`` holds ``category``
    float ``(B, K)``, one-hot, a row of NaN without a label, and each value ``(B,)`` with NaN. Pictures nearly the same
    as one of a split that counts more are not used: test before validation before train.

    Args:
        root: Folder of the corpora.
        protocol: ``honest`` selects on the validation split and tests on the test split. ``paper`` is there for
            corpora without a test split alone (AffectNet): it selects and reports on the validation split.
        augment: Augment training pictures by `still_augment`.
        augment_probability: Of each operation.
        augment_without: Operations to leave out; turning faces upside down, for one, is ``vertical_flip``.
        batch_size: Stills per step and device.
        class_weighting: ``balanced`` weighs the loss by inverse class frequency over the labelled training stills.
        **kwargs: See `StoredDataModule`.
    """

    modalities = ("face",)
    values: ClassVar[tuple[str, ...]] = ()  # names of the columns of ``affect``

    def __init__(
        self,
        root: str,
        protocol: Literal["paper", "honest"] = "honest",
        augment: bool = True,
        augment_probability: float = 0.05,
        augment_without: list[still_augment.Operation] | None = None,
        batch_size: int = 64,
        class_weighting: Literal["none", "balanced"] = "balanced",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, protocol=protocol, batch_size=batch_size, class_weighting=class_weighting, **kwargs)
        if not 0 <= augment_probability <= 1:
            raise DataError(f"--data.augment_probability {augment_probability}: between 0 and 1")
        if strange := [name for name in augment_without or [] if name not in still_augment.OPERATIONS]:
            names = ", ".join(still_augment.OPERATIONS)
            raise DataError(f"--data.augment_without: {', '.join(strange)} is none of {names}")
        self.check_missing(self.modalities)
        self.augment = augment and len(augment_without or []) < len(still_augment.OPERATIONS)
        self.augment_probability = augment_probability
        self.augment_without = augment_without or []

    @property
    def corpora(self) -> list[str]:
        """Names of what the stills are of, for messages."""
        return [self.corpus]

    @property
    def taken(self) -> np.ndarray:
        """Which stills of the store are asked for, bool ``(N,)``."""
        return np.ones(len(self.store), bool)

    @property
    def input_kinds(self) -> dict[str, str]:
        """One picture."""
        return {"face": "picture"}

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"face": [3, S, S]}``."""
        height, width, channels = self.store.shape("face", 0)
        return {"face": [channels, height, width]}

    @property
    def reading(self) -> dict[str, Any]:
        """How any picture becomes a batch like these."""
        options = {"modalities": ["face"], "arrays": {"face": "face"}}
        return {"data": "ClipsDataModule", "options": options, "arrays": ["face"]}

    def _all(self, name: str) -> np.ndarray:
        return np.stack([self.store.read(name, row) for row in range(len(self.store))])

    @cached_property
    def affect(self) -> np.ndarray:
        """Values of every still of the store, float32 ``(N, V)``, NaN where there is none."""
        return self._all("affect")

    @cached_property
    def near_duplicates(self) -> np.ndarray:
        """Which stills are left out, as a split that takes precedence holds nearly the same one; bool ``(N,)``.

        The whole store is compared, whatever `taken` says: what is learned from one may be tuned on another.
        """
        return duplicated_across_splits(self._all("split")[:, 0].astype(np.int64), self._all("thumbnail"))

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: If a split is empty, two splits share a subject, or the protocol does not fit the corpora.
        """
        splits, used = self._all("split")[:, 0], self.taken & ~self.near_duplicates
        rows = {name: np.flatnonzero(used & (splits == code)) for code, name in enumerate(SPLITS)}
        names = ", ".join(self.corpora)
        if self.protocol == "paper":
            if len(rows["test"]):
                raise DataError("--data.protocol paper: the paper selects on validation too; use honest")
            rows = {"train": rows["train"], "test": rows["val"]}
        elif not len(rows["test"]):
            raise DataError(
                f"{names}: no test stills, only train and validation.\n"
                "Take more --data.corpora, or select and report on validation with --data.protocol paper"
            )
        if empty := [name for name, found in rows.items() if not len(found)]:
            raise DataError(f"{names}: no {' and no '.join(empty)} stills; take more --data.corpora")
        self._check_subjects(rows)
        return rows

    def _check_subjects(self, rows: dict[str, np.ndarray]) -> None:
        seen: dict[str, str] = {}
        for split, found in rows.items():
            for row in found:
                group = self.store.groups[row]
                if seen.setdefault(group, split) != split:
                    raise DataError(f"{self.root}: subject {group} is in both {seen[group]} and {split}; prepare again")

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training stills that have one."""
        labels = self.store.labels[self.rows["train"]]
        return np.asarray(labels[labels >= 0])

    @property
    def class_weights(self) -> list[float] | None:
        """Inverse class frequency over the labelled training stills; None where not asked for or none is labelled."""
        return super().class_weights if len(self.train_labels) else None

    def dataset(self, split: Split) -> ClipDataset:
        """Return the stills of a split."""
        rows = self.rows[split]
        labels, affect = self.store.labels[rows], self.affect[rows]
        # A still without a category is a row of NaN: its loss and metrics pass it over.
        category = np.full((len(rows), len(self.class_names)), np.nan, np.float32)
        known = labels >= 0
        category[known] = np.eye(len(self.class_names), dtype=np.float32)[labels[known]]
        values = {name: torch.from_numpy(affect[:, i].copy()) for i, name in enumerate(self.values)}
        return self.clips(rows, {"category": torch.from_numpy(category), **values})

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the faces."""
        faces = np.stack([self.store.read("face", row) for row in rows])
        faces[~batch["mask"]["face"].numpy()] = 0
        batch["face"] = torch.from_numpy(faces)

    def split_sizes(self) -> dict[str, int]:
        """Return the number of stills per split, 0 validation stills under ``paper``."""
        splits: Sequence[str] = ("train", "test") if self.protocol == "paper" else SPLITS
        return {"val": 0} | {split: len(self.rows[split]) for split in splits}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert stills to the model's input on its device: float ``(B, 3, S, S)``, normalised, augmented in train."""
        face: Tensor = batch["face"]
        trainer = self.trainer
        if self.augment and trainer is not None and trainer.training:
            transform = still_augment.make_transform(self.augment_probability, self.augment_without)
            face = still_augment.augment(face, batch["id"], global_seed(), trainer.current_epoch, transform)
        return {**batch, "face": to_float(face[:, None])[:, :, 0]}
