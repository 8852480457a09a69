"""Clips of a split as a dataset of whole batches, and draws that depend only on their key."""

import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from datamodules.base import EmotionDataModule

Batch = dict[str, Any]
Split = Literal["train", "val", "test"]
KEYS = ("group", "id", "length", "mask", "meta", "seen", "target")  # of a batch, beside its modalities


def uniform_draw(*key: str | int) -> float:
    """Return a number in [0, 1) that depends only on the key: the same for every model, run and machine.

    Args:
        key: What the draw belongs to, for example modality and clip id.

    Returns:
        The draw.
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def as_is(batch: Any) -> Any:
    """Return a batch unchanged: `ClipDataset` yields whole batches."""
    return batch


def global_seed() -> int:
    """Return the seed of ``seed_everything``; 0 outside the command line."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def zero_absent(values: Tensor, present: Tensor) -> Tensor:
    """Return values with zeros in place of what is not there.

    Args:
        values: ``(B, ...)``.
        present: Which rows are there, bool ``(B,)``, or which steps of them, ``(B, T)``.
    """
    return values.masked_fill(~present.view(*present.shape, *[1] * (values.ndim - present.ndim)), 0)


class ClipDataset(Dataset[Batch]):
    """Clips of one split. The loader asks for a whole batch at once, so that arrays are copied once.

    Args:
        data: The DataModule, whose `fill` adds the modalities to a batch.
        rows: Where each clip is in what the DataModule reads, ``(N,)``.
        ids: Name of every clip.
        groups: Group of every clip.
        targets: Label of every clip, ``(N, ...)``, or a dict of these by task.
    """

    def __init__(
        self,
        data: "EmotionDataModule",
        rows: np.ndarray,
        ids: Iterable[str],
        groups: Iterable[str],
        targets: Tensor | dict[str, Tensor],
    ) -> None:
        self.data = data
        self.rows = rows
        self.ids = list(ids)
        self.groups = list(groups)
        self.targets = targets
        self.present = {
            modality: torch.tensor([not data.is_missing(modality, clip) for clip in self.ids], dtype=torch.bool)
            for modality in data.modalities
        }

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the batch of contract 1 that these clips make."""
        targets, places = self.targets, torch.tensor(indices)
        batch: Batch = {
            "id": [self.ids[i] for i in indices],
            "group": [self.groups[i] for i in indices],
            "length": {},
            "mask": {modality: present[places] for modality, present in self.present.items()},
        }
        self.data.fill(batch, self.rows[indices])
        if isinstance(targets, dict):
            batch["target"] = {task: of[places] for task, of in targets.items()}
        else:
            batch["target"] = targets[places]
        return batch

    def __getitem__(self, index: int) -> Batch:
        """Return the batch of one clip."""
        return self.__getitems__([index])
