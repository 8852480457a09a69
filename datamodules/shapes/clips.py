"""Clips of any catalogue, own ones first of all: arrays of several kinds, chosen by what a model reads."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from datamodules.batches import KEYS, Batch
from datamodules.errors import DataError
from datamodules.reading.names import check_name
from datamodules.shapes.clip_arrays import ClipArraysDataModule
from datamodules.shapes.divided import DividedDataModule
from datamodules.shapes.kinds.array_kinds import KINDS
from datamodules.shapes.kinds.lookup import array_of_kind, find_array, kind_name
from datamodules.shapes.kinds.whole_frames import Normalization
from datamodules.vocabularies import FACTS, META


class ClipsDataModule(DividedDataModule, ClipArraysDataModule):
    """Clips of a prepared store of any corpus; see `DividedDataModule`.

    Args:
        root: Folder of the corpus.
        store: Which of its stores: ``prepared``, or the only one there is, where not given.
        modalities: What to read, keys of a batch; what the model reads, or those of video and audio that the store
            holds, where not given. ``meta`` is what is known of the clips besides, int64 ``(B, F)``.
        arrays: The array of the store that each is, ``{video: img, audio: spec}``; otherwise the one of the kind that
            the model reads, ``video`` face crops, ``audio`` MFCCs, and every other one the array of its name.
        reads: Kind by modality of what the model reads; the command line asks the model.
        normalization: Mean and deviation of whole frames: ``half`` (0.5), ``imagenet``, or ``none``.
        cache: Have frozen encoders run once, ahead of training.
        **kwargs: See `DividedDataModule` and `ClipArraysDataModule`.
    """

    views_of_kinds: ClassVar[dict[str, str]] = {kind.name: view for view, kind in KINDS.items()}

    def __init__(
        self,
        root: str = "data/clips",
        store: str | None = None,
        modalities: list[str] | None = None,
        arrays: dict[str, str] | None = None,
        reads: dict[str, str] | None = None,
        normalization: Normalization = "half",
        cache: bool = True,
        **kwargs: Any,
    ) -> None:
        if modalities is not None and len(set(modalities)) < len(modalities):
            raise DataError(f"--data.modalities {modalities}: name each once")
        self.normalization = normalization
        self.arrays, self.reads = arrays or {}, reads or {}
        self._check_names(self.arrays, modalities or [])
        super().__init__(root, store=store, modalities=modalities, **kwargs)
        self.cache = cache

    @staticmethod
    def _check_names(arrays: Mapping[str, str], modalities: Sequence[str]) -> None:
        for option, names in (("--data.arrays", arrays), ("--data.modalities", modalities)):
            taken = set(KEYS) - ({META} if names is modalities else set())
            for name in names:
                if check_name(name, option) in taken:
                    raise DataError(f"{option}: {name} is the name of something else in a batch; give it another")

    @cached_property
    def array_of(self) -> dict[str, str]:  # type: ignore[override]
        """Array of the store by modality, as far as a model or an option asks for it, or it has a name."""
        named = {**{name: name for name in self.modalities if name != META}, **ClipArraysDataModule.array_of}
        for modality, kind in self.reads.items():
            usual = find_array(self.store, named.get(modality, ""))
            if not (usual and kind_name(self.store, usual) == kind) and (found := array_of_kind(self.store, kind)):
                named[modality] = found
        return {**named, **self.arrays}

    def default_modalities(self) -> list[str]:
        """Return what the model reads, or those of video and audio that the store holds, or all that it holds."""
        self.modalities = list(self.reads)
        if self.reads:
            return self.modalities
        held = [name for name, array in self.array_of.items() if find_array(self.store, array)]
        return [name for name in held if name in ("video", "audio")] or held or ["video"]

    @property
    def input_kinds(self) -> dict[str, str]:
        """Kind of every modality that is read and that some clip has."""
        found, store = {}, self.store
        for name in (name for name in self.modalities if name != META):
            array = find_array(store, self.array_of[name])
            if array and any(0 not in store.shape(array, row) for row in range(len(store))):
                found[name] = kind_name(store, array)
        found = {name: kind for name, kind in found.items() if kind}
        return found | ({META: FACTS} if META in self.modalities and self.fields else {})

    @cached_property
    def vocabularies(self) -> dict[str, list[str]]:
        """Values per field of ``meta`` that train has; none where it is not read."""
        if META in self.modalities and not self.fields:
            raise DataError(f"--data.modalities: {self.folder} knows nothing of its clips besides; leave out {META}")
        return super().vocabularies

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """Shape of one clip by modality."""
        meta = {META: [len(self.vocabularies)]} if META in self.modalities else {}
        return super().input_shapes | meta

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add what is read, and what is known of the clips besides."""
        super().fill(batch, rows)
        if META in self.modalities:
            present = batch["mask"][META]
            batch[META] = self.meta[torch.from_numpy(rows)] * present[:, None]
            batch["mask"][META] = (batch[META] > 0).any(1)
