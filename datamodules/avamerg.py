"""AvaMERG (Zhang et al. 2025, https://arxiv.org/abs/2502.04976): dialogues with text, speech, film and profiles.

Speech and faces are synthesised: accuracy on them says nothing about human voices and faces. The label is what a
language model called the speaker's emotion in the same ``chain_of_empathy`` whose other fields explain it, so those
fields, and the listener's response that follows, are off; a run that turns them on says LEAKED wherever it is shown.
"""

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from datamodules.batches import ClipDataset, Split
from datamodules.profiles import FIELDS, IDS, PROFILE, fit_vocabularies
from datamodules.reading.emotion_labels import label_map as labels_of
from datamodules.shapes.dialogues import DialoguesDataModule
from datamodules.vocabularies import indices


class AvaMERGDataModule(DialoguesDataModule):
    """Conversations up to the turn whose emotion is asked for; ``meta`` is in the order of `profiles.FIELDS`.

    Args:
        root: Folder of the corpus.
        label_map: ``avamerg`` (the organisers' own), ``mimamo`` or ``late_fusion`` for seven classes, ``ed32``.
        profile_ids: Have ``meta`` end with the ids of both profiles. They are the same in all splits: a shortcut.
        use_chain_of_empathy: Have the context go on with what the label was taken from. Stamps results LEAKED.
        use_response: Have the listener's response be one more utterance. Stamps results LEAKED.
        protocol: ``honest``: the epoch is selected on conversations that are in neither train nor test.
        **kwargs: See `DialoguesDataModule`.
    """

    corpus = "avamerg"
    group_name = "conversations"
    protocols = ("honest",)
    # The label was taken from the chain of empathy; the response answers the turn that is scored.
    leak_options: ClassVar[dict[str, str]] = {"use_chain_of_empathy": "context", "use_response": "listener"}

    def __init__(
        self,
        root: str = "data/avamerg",
        label_map: Literal["avamerg", "mimamo", "late_fusion", "ed32"] = "avamerg",
        profile_ids: bool = False,
        use_chain_of_empathy: bool = False,
        use_response: bool = False,
        protocol: Literal["paper", "honest"] = "honest",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, protocol=protocol, **kwargs)
        self.utterances += use_response  # the response takes no utterance's place
        self.profile_ids = profile_ids
        self.use_chain_of_empathy = self.use_chain = use_chain_of_empathy
        self.use_response = use_response
        self._map = labels_of(label_map)

    def items_key(self, modality: str) -> str:
        """Return what the items depend on besides the store and their shape."""
        return "chain of empathy" if self.use_chain and modality == "context" else ""

    @property
    def class_names(self) -> list[str]:
        """Classes of the label map."""
        return list(self._map.classes)

    @cached_property
    def targets(self) -> Tensor:
        """Class indices of all conversations, int64 ``(N,)``; -1 where the label map has no class."""
        return torch.tensor([self._map.index(row["emotion"]) for row in self.store.rows])

    def rows(self, split: Split) -> np.ndarray:
        """Return the rows of the store that belong to a split and have a class."""
        return self.rows_of_split(split, self.targets.numpy() >= 0)

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training conversations."""
        return np.asarray(self.targets.numpy()[self.rows("train")])

    @property
    def dropped(self) -> int:
        """Conversations whose emotion has no class under the label map."""
        return int((self.targets < 0).sum())

    @property
    def fields(self) -> list[str]:
        """Names of the columns of ``meta``."""
        return [*FIELDS, *(IDS if self.profile_ids else ())]

    @cached_property
    def vocabularies(self) -> dict[str, list[str]]:
        """Values per field that train has; both profiles share the lists of their attributes."""
        return fit_vocabularies([self.store.rows[row] for row in self.rows("train")], self.fields)

    @cached_property
    def meta(self) -> Tensor:
        """Index of every conversation's values, int64 ``(N, F)``, 0 = unknown."""
        return indices(self.store.rows, self.vocabularies)

    @property
    def clip_attributes(self) -> dict[str, dict[str, str]]:
        """Age, gender and timbre of the speaker by conversation; ``unknown`` where the manifest has none."""
        return {row["id"]: {name: row[f"speaker_{name}"] or "unknown" for name in PROFILE} for row in self.store.rows}

    def dataset(self, split: Split) -> ClipDataset:
        """Return the conversations of a split."""
        if split == "train" and self.dropped:
            rank_zero_info(f"{self.dropped} conversations have no class under {self._map.name} and are left out")
        rows = self.rows(split)
        return self.clips(rows, self.targets[rows])
