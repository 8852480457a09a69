"""EmpatheticDialogues (Rashkin et al. 2019, https://aclanthology.org/P19-1534): one text, one emotion each.

The splits are the corpus's own. Labels are made of the 32 emotions by a map of `emotion_labels`, when the batch is
read: one store serves every map.
"""

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import Batch, ClipDataset, Split, zero_absent
from datamodules.reading.emotion_labels import label_map as labels_of
from datamodules.shapes.stored import StoredDataModule


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
    modalities = ("text",)
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
        self.check_missing(self.modalities)

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
    def input_kinds(self) -> dict[str, str]:
        """One text."""
        return {"text": "tokens"}

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"text": [L]}``, or ``[D]`` of embeddings."""
        return {"text": list(self.inputs.shape[1:])}

    @property
    def reading(self) -> dict[str, Any]:
        """How any text becomes a batch like these."""
        options = {"modalities": ["text"], "arrays": {"text": "text"}}
        return {"data": "ClipsDataModule", "options": options, "arrays": ["text"]}

    def rows(self, split: Split) -> np.ndarray:
        """Return the rows of the store that belong to a split."""
        return self.rows_of_split(split)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training conversations."""
        return np.asarray(self.targets.numpy()[self.rows("train")])

    def dataset(self, split: Split) -> ClipDataset:
        """Return the conversations of a split."""
        rows = self.rows(split)
        return self.clips(rows, self.targets[torch.from_numpy(rows)])

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the texts or their embeddings; one without a word is missing."""
        places = torch.from_numpy(rows)
        words = self.texts[places] > 0
        present = batch["mask"]["text"] & words.any(1)
        batch["text"] = zero_absent(self.inputs[places], present)
        batch["mask"]["text"], batch["length"]["text"] = present, words.sum(1) * present

    def count_items(self, modality: str) -> int:
        """Return the number of texts."""
        if modality != "text":
            return super().count_items(modality)
        return len(self.store)

    def items(self, modality: str, start: int, stop: int) -> Tensor:
        """Return token ids int64 ``(n, L)`` in store order."""
        return self.texts[start:stop]
