"""One array of a store as a modality of a batch: what every kind of array has."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import zero_absent
from datamodules.errors import DataError
from datamodules.shapes.scaling import Scaling
from datamodules.store.reader import Store

if TYPE_CHECKING:
    from datamodules.shapes.clip_arrays import ClipArraysDataModule


class Kind:
    """An array of a store as a modality, held and seen as it is stored.

    Args:
        store: The store.
        array: Name of the array.
        data: The DataModule, whose options apply.

    Attributes:
        name: Of the kind, as models name what they read.
        view: The view that makes such arrays.
        there: Which clips have it, bool ``(N,)``: one that had to go without is stored as an empty array.
        scaling: How its features are standardised; None where they are not.
        confidence: The array beside it that says by step how certain a face is, 0 without one; empty where none does.

    Raises:
        DataError: No clip has it, or an option does not fit.
    """

    name: ClassVar[str] = ""
    view: ClassVar[str] = ""
    items_per_clip: int = 0  # that a frozen encoder sees one by one; 0 where it is not read by one
    augments: ClassVar[bool] = False  # whether training shows it otherwise than it is stored
    # Axes of a clip's array whose steps all have the same features, which can be standardised; None where there are no
    # features in it.
    step_axes: ClassVar[tuple[int, ...] | None] = None

    def __init__(self, store: Store, array: str, data: "ClipArraysDataModule") -> None:
        self.store, self.array, self.data = store, array, data
        self.scaling: Scaling | None = None
        self.there = np.array([0 not in store.shape(array, row) for row in range(len(store))], bool)
        if not self.there.any():
            raise DataError(f"{store.folder}: {array} is empty for every clip; see missing.csv there")
        self.confidence = name if (name := f"{array}_confidence") in store.arrays else ""
        self.first = int(self.there.argmax())
        self.stored = list(store.shape(array, self.first))

    @property
    def shape(self) -> list[int]:
        """Shape of one clip as the model sees it."""
        return self.stored

    def read_one(self, row: int) -> np.ndarray:
        """Return the array of a clip as a batch holds it."""
        return self.store.read(self.array, row)

    @cached_property
    def _blank(self) -> np.ndarray:
        return np.zeros_like(self.read_one(self.first))

    def read(self, rows: Sequence[int] | np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return the arrays of clips ``(B, ...)``, zeros where they are not present (bool ``(B,)``)."""
        values = np.stack([self.read_one(row) if self.there[row] else self._blank for row in rows])
        values[~present] = 0
        return values

    def is_silent(self, values: Tensor) -> Tensor | None:
        """Return which clips say nothing although they are there, bool ``(B,)``; None where that cannot be."""
        return None

    def valid_steps(self, row: int) -> int | None:
        """Return the number of steps of a clip without padding; None where there never is any."""
        return None

    def seen(self, row: int) -> np.ndarray | None:
        """Return which steps of a clip show a face, as `read_one` returns them; None where all count."""
        return None

    def to_model_input(self, values: Tensor, present: Tensor, ids: list[str], epoch: int | None) -> Tensor:
        """Return what the model sees.

        Args:
            values: As the batch holds them.
            present: Which clips are there, ``(B,)``.
            ids: Of the clips.
            epoch: Of the training for which they are to be augmented; None where they are not.
        """
        return values

    def items(self, start: int, stop: int) -> Tensor:
        """Return items over all clips in store order, as an encoder takes them: clips as the model sees them."""
        present = self.there[start:stop]
        values = torch.from_numpy(self.read(range(start, start + len(present)), present))
        ids = self.store.ids[start : start + len(present)]
        return self.to_model_input(values, torch.from_numpy(present), list(ids), None)

    @property
    def items_key(self) -> str:
        """What items depend on besides the store."""
        return self.array

    @property
    def facts(self) -> dict[str, Any]:
        """What the numbers that the model sees mean: ``rate`` of a wave, ``mean`` and ``std`` of pixels."""
        return {}

    def embedded(self, table: Tensor, rows: np.ndarray, present: Tensor) -> Tensor:
        """Return the embeddings of clips' items out of those of all, ``(B, D)`` or ``(B, items, D)``."""
        return zero_absent(table[torch.from_numpy(rows)], present)
