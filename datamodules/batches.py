"""Clips of a split as a dataset of whole batches, and draws that depend only on their key."""

import hashlib
import os
from abc import abstractmethod
from typing import Any, Literal

from torch.utils.data import Dataset

Batch = dict[str, Any]
Split = Literal["train", "val", "test"]


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


class ClipDataset(Dataset[Batch]):
    """Clips of one split. The loader asks for a whole batch at once, so that arrays are copied once."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of clips."""

    @abstractmethod
    def __getitems__(self, rows: list[int]) -> Batch:
        """Return the batch of contract 1 that these rows make."""

    def __getitem__(self, row: int) -> Batch:
        """Return the batch of one clip."""
        return self.__getitems__([row])
