"""Clips of feature tables that lie in memory, as batches."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from datamodules.batches import Batch, ClipDataset
from datamodules.reading.feature_index import CLASSES
from datamodules.shapes.sequences import Sequences

if TYPE_CHECKING:
    from datamodules.shapes.precomputed import PrecomputedTensorDataModule


class PrecomputedClips(ClipDataset):
    """Rows of the in-memory feature tables as batches.

    Args:
        data: The DataModule whose tables and options apply.
        rows: Rows of the index that belong to the split.
    """

    def __init__(self, data: "PrecomputedTensorDataModule", rows: np.ndarray) -> None:
        self.data = data
        self.rows = rows
        self.present = {
            modality: torch.tensor([not data.is_missing(modality, data.ids[row]) for row in rows])
            for modality in data.tables
        }
        for modality, table in data.tables.items():
            if isinstance(table, Sequences):
                self.present[modality] &= table.lengths[rows] > 0

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the batch of contract 1 that these clips make."""
        data, rows = self.data, self.rows[indices]
        ids, groups = [data.ids[row] for row in rows], [data.groups[row] for row in rows]
        batch: Batch = {"id": ids, "group": groups, "length": {}, "mask": {}}
        for modality, table in data.tables.items():
            present = self.present[modality][indices]
            if isinstance(table, Sequences):
                values, batch["length"][modality] = table.padded(rows.tolist())
            else:
                values = table[rows]
            if modality in data.missing:
                values = values.masked_fill(~present.view(-1, *[1] * (values.ndim - 1)), 0)
            batch[modality], batch["mask"][modality] = values, present
        targets = {task: values[rows] for task, values in data.targets.items()}
        batch["target"] = targets if data.tasks else targets[CLASSES]
        return batch
