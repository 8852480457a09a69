"""Clips of any catalogue, own ones first of all: their labels, folds and arrays as the store and its manifest say."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.batches import KEYS, Batch
from datamodules.errors import DataError
from datamodules.reading.names import check_name
from datamodules.shapes.array_kinds import find_array
from datamodules.shapes.clip_arrays import ClipArraysDataModule
from datamodules.shapes.clip_labels import ClipLabels
from datamodules.shapes.division import OPTION, carve, fold_numbers, read_division, split_rows
from datamodules.shapes.frame_groups import Normalization
from datamodules.shapes.stored import store_folder
from datamodules.vocabularies import indices, vocabulary

META = "meta"  # what is known of the clips besides, columns meta_<name> of the index


class ClipsDataModule(ClipArraysDataModule):
    """Clips of a prepared store of any corpus, by its folds or official splits; clips without any label are left out.

    By folds ``paper`` selects the epoch on the test fold and ``honest`` on the next one. By splits ``honest`` selects
    on val, or, where there is none, on groups that are carved out of train. Without a test split val is scored.

    Args:
        root: Folder of the corpus.
        store: Which of its stores: ``prepared``, or the only one there is, where not given.
        modalities: What to read, keys of a batch; those of video and audio that the store holds where not given.
            ``meta`` is what is known of the clips besides, int64 ``(B, F)``.
        arrays: The array of the store that each is, ``{video: img, audio: spec}``; otherwise ``video`` is face crops,
            ``audio`` MFCCs, and every other one the array of its name.
        splits: CSV with columns clip, speaker, and fold or split, in place of what the store says.
        validation: Share of every class of train that is carved out where there is no val.
        split_seed: Of that draw.
        normalization: Mean and deviation of whole frames: ``half`` (0.5), ``imagenet``, or ``none``.
        cache: Have frozen encoders run once, ahead of training.
        **kwargs: See `ClipArraysDataModule`.
    """

    corpus = "clips"

    def __init__(
        self,
        root: str = "data/clips",
        store: str | None = None,
        modalities: list[str] | None = None,
        arrays: dict[str, str] | None = None,
        splits: str | None = None,
        validation: float = 0.15,
        split_seed: int = 2023,
        normalization: Normalization = "half",
        cache: bool = True,
        **kwargs: Any,
    ) -> None:
        if not 0 < validation < 1:
            raise DataError(f"--data.validation {validation}: a share between 0 and 1")
        if split_seed < 0:
            raise DataError(f"--data.split_seed {split_seed}: a whole number from 0")
        if modalities is not None and len(set(modalities)) < len(modalities):
            raise DataError(f"--data.modalities {modalities}: name each once")
        self.root, self.folder = root, store_folder(root, store)  # the folds are counted before all else is set
        self.splits = Path(splits) if splits else None
        self.validation = validation
        self.split_seed = split_seed
        self.normalization = normalization
        self.array_of = self._named_arrays(arrays or {}, modalities or [])
        settings = self.store.manifest["settings"]
        self.corpus = settings.get("catalogue", {}).get("name") or settings.get("corpus") or self.corpus
        modalities = self._held_modalities() if modalities is None else modalities
        super().__init__(root, store=self.folder.name, modalities=modalities, **kwargs)
        self.cache = cache

    def _named_arrays(self, arrays: dict[str, str], modalities: list[str]) -> dict[str, str]:
        for option, names in (("--data.arrays", arrays), ("--data.modalities", modalities)):
            taken = set(KEYS) - ({META} if names is modalities else set())
            for name in names:
                if check_name(name, option) in taken:
                    raise DataError(f"{option}: {name} is the name of something else in a batch; give it another")
        return {**{name: name for name in modalities if name != META}, **ClipArraysDataModule.array_of, **arrays}

    def _held_modalities(self) -> list[str]:
        held = [name for name, array in self.array_of.items() if find_array(self.store, array)]
        return [name for name in held if name in ("video", "audio")] or held or ["video"]

    @cached_property
    def labels(self) -> ClipLabels:
        """Labels of the clips of the store."""
        return ClipLabels(self.store)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; none where there are values alone."""
        return self.labels.classes

    @property
    def tasks(self) -> dict[str, int]:
        """Number of classes by task, 0 for a value; empty where the target is one set of classes."""
        return self.labels.sizes

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Meaning of each output by task; one set of classes is called as of every corpus."""
        found = self.labels.tasks
        if self.tasks or not found:
            return found or super().outputs
        return {name: next(iter(found.values())) for name in super().outputs}

    @property
    def targets(self) -> Tensor | dict[str, Tensor]:
        """Labels of every clip of the store."""
        return self.labels.targets

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips; -1 where one has none."""
        return np.asarray(self.labels.indices[self.rows["train"]])

    @property
    def train_values(self) -> dict[str, np.ndarray]:
        """Labels of the training clips by task, of every value; NaN where there is none."""
        return {task: values[self.rows["train"]] for task, values in self.labels.values.items()}

    @property
    def group_name(self) -> str:  # type: ignore[override]
        """Speakers, or clips where nobody names them."""
        return "speakers" if self.store.manifest["settings"].get("catalogue", {}).get("speakers", True) else "clips"

    @cached_property
    def division(self) -> tuple[str, list[str], str]:
        """``fold`` or ``split``, which of them every clip is in, and what says so.

        Raises:
            DataError: Nothing does, or the file is wrong.
        """
        rows, source = self.store.rows, str(self.folder / "index.csv")
        if self.splits:
            clips = list(zip(self.store.ids, self.store.groups, strict=True))
            rows, source = read_division(self.splits, clips, root=self.root), f"{OPTION} {self.splits}"
        for kind in ("fold", "split", "part"):
            values = [row.get(kind, "") for row in rows]
            if any(values):
                return (
                    ("split", [value.lower() for value in values], source) if kind == "part" else (kind, values, source)
                )
        if self.splits:
            raise DataError(f"{source}: no column fold or split with a value; give one of them")
        raise DataError(
            f"{self.folder}: its clips are in no fold and no split; give {OPTION} FILE, a CSV with the columns clip, "
            "speaker, and fold or split"
        )

    @cached_property
    def folds(self) -> np.ndarray | None:
        """Fold of every clip of the store, ``(N,)``; None where there are splits."""
        kind, values, source = self.division
        return fold_numbers(values, self.store.ids, source) if kind == "fold" else None

    @property
    def num_folds(self) -> int:  # type: ignore[override]
        """Number of folds; 1 where there are splits."""
        return 1 if self.folds is None else int(self.folds.max()) + 1

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: A split is empty or two splits share a group.
        """
        known, (_, values, source) = self.labels.known, self.division
        if left_out := int((~known).sum()):
            rank_zero_warn(f"{self.folder}: {left_out} of {len(known)} clips have no label and are left out")
        if self.folds is not None:
            rows = self.split_by_fold(self.folds, self.store.groups, source)
            rows = {split: of[known[of]] for split, of in rows.items()}
            if empty := [split for split, of in rows.items() if not len(of)]:
                raise DataError(f"--data.fold {self.fold}: no labelled {empty[0]} clips in {self.folder}")
            return rows
        rows = split_rows(values, known, self.protocol == "honest", self._carved, source)
        self.check_groups(rows, self.store.groups, source)
        return rows

    def _carved(self, rows: np.ndarray) -> np.ndarray:
        groups = [self.store.groups[row] for row in rows]
        return carve(self.labels.indices[rows], groups, self.validation, self.split_seed)

    @property
    def fields(self) -> list[str]:
        """Names of what is known of the clips besides, columns of ``meta``."""
        return [name.removeprefix("meta_") for name in self.store.rows[0] if name.startswith("meta_")]

    @cached_property
    def vocabularies(self) -> dict[str, list[str]]:
        """Values per field of ``meta`` that train has; none where it is not read."""
        if META not in self.modalities:
            return {}
        if not self.fields:
            raise DataError(f"--data.modalities: {self.folder} knows nothing of its clips besides; leave out {META}")
        train = self.rows["train"]
        return {name: vocabulary(self.store.rows[row][f"meta_{name}"] for row in train) for name in self.fields}

    @cached_property
    def meta(self) -> Tensor:
        """Index of every clip's values, int64 ``(N, F)``, 0 = unknown."""
        known = [{name: row[f"meta_{name}"] for name in self.vocabularies} for row in self.store.rows]
        return indices(known, self.vocabularies)

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
