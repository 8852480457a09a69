"""Conversations as batches of contract 1."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from datamodules.batches import Batch, ClipDataset
from datamodules.shapes.dialogue_store import RESPONSE, SPEAKER

if TYPE_CHECKING:
    from datamodules.shapes.dialogues import DialoguesDataModule


class DialogueClips(ClipDataset):
    """Conversations of a split as batches of contract 1.

    Args:
        data: The DataModule whose store and options apply.
        rows: Rows of the store.
    """

    def __init__(self, data: "DialoguesDataModule", rows: np.ndarray) -> None:
        self.data = data
        self.rows = rows
        ids = [data.store.ids[row] for row in rows]
        self.present = {
            modality: np.array([not data.is_missing(modality, clip) for clip in ids]) for modality in data.modalities
        }

    def __len__(self) -> int:
        """Return the number of conversations."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the batch that these conversations make."""
        data, talk, rows = self.data, self.data.dialogues, self.rows[indices].tolist()
        size, limit = len(rows), data.utterances
        chosen = [talk.utterances(row, limit) for row in rows]
        there = np.zeros((size, limit), bool)
        numbers = np.zeros((size, limit), np.int64)
        for i, found in enumerate(chosen):
            there[i, : len(found)], numbers[i, : len(found)] = True, found
        roles = torch.from_numpy(np.where(there, talk.roles[numbers], 0)).long()
        batch: Batch = {
            "id": [data.store.ids[row] for row in rows],
            "group": [data.store.groups[row] for row in rows],
            "role": torch.where(roles == RESPONSE, SPEAKER + 1, roles),  # the listener says it
            "length": {"utterances": torch.from_numpy(there.sum(1))},
            "mask": {},
            "utterance_mask": {},
            "target": data.targets[rows],
        }
        for modality in data.modalities:
            present = self.present[modality][indices]
            if modality == "meta":
                known = torch.from_numpy(present)
                batch["meta"] = data.meta[rows] * known[:, None]
                batch["mask"]["meta"] = known & (batch["meta"] > 0).any(1)
                continue
            has = there & talk.has[modality][numbers] & present[:, None]
            batch[modality] = data.read(modality, numbers, has)
            batch["utterance_mask"][modality] = torch.from_numpy(has)
            batch["mask"][modality] = torch.from_numpy(has.any(1))
            if modality == "text":
                has = talk.has_context[rows] & present
                batch["context"] = data.read("context", np.array(rows), has)
                batch["mask"]["context"] = torch.from_numpy(has)
        return batch
