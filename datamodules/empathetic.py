"""EmpatheticDialogues (Rashkin et al. 2019, https://aclanthology.org/P19-1534): one text, one emotion each.

The splits are the corpus's own. Labels are made of the 32 emotions by a map of `emotion_labels`, when the batch is
read: one store serves every map.
"""

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import Batch, ClipDataset, Split
from datamodules.reading.emotion_labels import label_map as labels_of
from datamodules.shapes.stored import StoredDataModule


class EmpatheticClips(ClipDataset):
    """Conversations of a split as batches of contract 1.

    Args:
        data: The DataModule whose store and options apply.
        rows: Rows of the store.
    """

    def __init__(self, data: "EmpatheticDataModule", rows: np.ndarray) -> None:
        self.data = data
        self.rows = rows
        ids = data.store.ids
        kept = torch.tensor([not data.is_missing("text", ids[row]) for row in rows], dtype=torch.bool)
        self.present = kept & data.texts[torch.from_numpy(rows)].any(1)

    def __len__(self) -> int:
        """Return the number of conversations."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the batch that these conversations make."""
        data, rows = self.data, self.rows[indices]
        present = self.present[indices]
        values = data.inputs[torch.from_numpy(rows)]
        return {
            "id": [data.store.ids[row] for row in rows],
            "group": [data.store.groups[row] for row in rows],
            "text": values.masked_fill(~present[:, None], 0),
            "length": {"text": (data.texts[torch.from_numpy(rows)] > 0).sum(1) * present},
            "mask": {"text": present},
            "target": data.targets[torch.from_numpy(rows)],
        }


class EmpatheticDataModule(StoredDataModule):
    """Texts of EmpatheticDialogues, or of a corpus in its format.

    Batches hold ``text`` int64 ids ``(B, L)`` with 0 = padding, or ``(B, D)`` after `use_embeddings`.

    Args:
        root: Folder of the corpus.
        label_map: ``ed32`` for the 32 emotions, or one of the maps onto seven: ``avamerg``, ``mimamo``,
            ``late_fusion``.
        cache: Have frozen encoders run once, ahead of training.
        protocol: ``honest``: the epoch is selected on the official validation split.
        batch_size: Conversations per step and device.
        **kwargs: See `StoredDataModule`.
    """

    corpus = "empathetic"
    protocols = ("honest",)

    def __init__(
        self,
        root: str = "data/empathetic",
        label_map: Literal["avamerg", "mimamo", "late_fusion", "ed32"] = "ed32",
        cache: bool = True,
        protocol: Literal["paper", "honest"] = "honest",
        batch_size: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, protocol=protocol, batch_size=batch_size, **kwargs)
        self.cache = cache
        self._map = labels_of(label_map)
        self.check_missing(["text"])

    @cached_property
    def texts(self) -> Tensor:
        """Token ids of all conversations, int64 ``(N, L)``."""
        return torch.from_numpy(np.stack([self.store.read("text", row) for row in range(len(self.store))])).long()

    @property
    def inputs(self) -> Tensor:
        """Token ids of all conversations, or embeddings ``(N, D)`` in their place."""
        return self.embeddings["text"] if self.embeddings else self.texts

    @cached_property
    def targets(self) -> Tensor:
        """Class indices of all conversations, int64 ``(N,)``."""
        return torch.tensor([self._map.index(row["emotion"]) for row in self.store.rows])

    @property
    def group_name(self) -> str:  # type: ignore[override]
        """Speakers, or prompts where the corpus names no speaker."""
        settings = self.store.manifest["settings"]
        return str(settings.get("catalogue", settings)["groups"])  # stores of schema 1 name no catalogue

    @property
    def class_names(self) -> list[str]:
        """Classes of the label map."""
        return list(self._map.classes)

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"text": [L]}``, or ``[D]`` of embeddings."""
        return {"text": list(self.inputs.shape[1:])}

    def rows(self, split: Split) -> np.ndarray:
        """Return the rows of the store that belong to a split.

        Raises:
            DataError: If there are none.
        """
        return self.rows_of_split(split)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training conversations."""
        return np.asarray(self.targets.numpy()[self.rows("train")])

    def dataset(self, split: Split) -> EmpatheticClips:
        """Return the conversations of a split."""
        return EmpatheticClips(self, self.rows(split))

    def count_items(self, modality: str) -> int:
        """Return the number of texts."""
        if modality != "text":
            return super().count_items(modality)
        return len(self.store)

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return token ids int64 ``(n, L)`` in store order."""
        return self.texts[start:stop]
