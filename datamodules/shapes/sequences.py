"""Sequences of unequal length as one padded tensor per batch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """A modality whose clips have their own numbers of steps.

    Attributes:
        items: Steps of each clip, ``(T, ...)``, or ``(n, T)`` where time is the last axis.
        axis: The axis of time, 0 or 1.
        steps: Number of steps that every batch is padded to, and no clip has more; the longest of the batch where None.
    """

    items: list[Tensor]
    axis: int = 0
    steps: int | None = None

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.items)

    @property
    def shape(self) -> list[int]:
        """Shape of a clip; 0 steps where they differ from batch to batch."""
        shape = list(self.items[0].shape)
        shape[self.axis] = self.steps or 0
        return shape

    def padded(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """Return some clips with zeros behind their last steps.

        Returns:
            ``(B, T, ...)``, or ``(B, n, T)``, and how many of the T steps of each are its own, int64 ``(B,)``.
        """
        items = [self.items[row] for row in rows]
        lengths = torch.tensor([item.shape[self.axis] for item in items])
        shape = list(items[0].shape)
        shape[self.axis] = self.steps or max(int(lengths.max()), 1)
        batch = items[0].new_zeros(len(items), *shape)
        for place, item in zip(batch, items, strict=True):
            place.narrow(self.axis, 0, item.shape[self.axis]).copy_(item)
        return batch, lengths
