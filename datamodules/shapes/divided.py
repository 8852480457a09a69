"""Clips of any catalogue divided into splits: labels and folds as a store, its manifest, or a file say."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from datamodules.entries import SPLITS
from datamodules.errors import DataError
from datamodules.recipe import catalogue_class, names
from datamodules.shapes.clip_labels import ClipLabels
from datamodules.shapes.division import COMMITTED, OPTION, carve, fold_numbers, read_division, split_rows
from datamodules.shapes.stored import StoredDataModule, store_folder
from datamodules.vocabularies import META, indices, vocabulary


class DividedDataModule(StoredDataModule):
    """Clips of a prepared store of any corpus, by its folds or official splits; clips without any label are left out.

    By folds ``paper`` selects the epoch on the test fold and ``honest`` on the next one. By splits ``honest`` selects
    on val, or, where there is none, on groups that are carved out of train. Without a test split val is scored.

    Args:
        root: Folder of the corpus.
        store: Which of its stores: ``prepared``, or the only one there is, where not given.
        splits: CSV with columns clip, speaker, and fold or split, in place of what the store says.
        validation: Share of every class of train that is carved out where there is no val.
        split_seed: Of that draw.
        **kwargs: See `EmotionDataModule`.
    """

    corpus = "clips"
    usual_store = ""  # the store that is taken, where there is one of that name and nobody names another
    ids_name_corpora = False  # they name the folders that somebody keeps clips in

    def __init__(
        self,
        root: str = "data/clips",
        store: str | None = None,
        splits: str | None = None,
        validation: float = 0.15,
        split_seed: int = 2023,
        **kwargs: Any,
    ) -> None:
        if not 0 < validation < 1:
            raise DataError(f"--data.validation {validation}: a share between 0 and 1")
        if split_seed < 0:
            raise DataError(f"--data.split_seed {split_seed}: a whole number from 0")
        if store is None and self.usual_store and (Path(root) / self.usual_store).is_dir():
            store = self.usual_store
        self.root, self.folder = root, store_folder(root, store)  # the folds are counted before all else is set
        self.splits = Path(splits) if splits else None
        self.validation = validation
        self.split_seed = split_seed
        settings = self.store.manifest["settings"]
        self.corpus = settings.get("catalogue", {}).get("name") or settings.get("corpus") or self.corpus
        super().__init__(root, store=self.folder.name, **kwargs)

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
        rows: Sequence[Mapping[str, str]] = self.store.rows
        if not self.splits and (found := _division_in(rows)):
            return *found, str(self.folder / "index.csv")
        known = self.corpus in names("catalogues") and COMMITTED / f"{self.corpus}.csv"
        if path := self.splits or (known if known and known.is_file() else None):
            clips = list(zip(self.store.ids, self.store.groups, strict=True))
            key = catalogue_class(self.corpus).listed if path == known else str
            source = f"{OPTION} {path}" if self.splits else path.name
            if found := _division_in(read_division(path, clips, root=self.root, key=key)):
                return *found, source
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
        for what, absent in (("label", ~known), ("split", np.array([not value for value in values]))):
            if absent.any():
                rank_zero_warn(f"{self.folder}: {absent.sum()} of {len(absent)} clips have no {what} and are left out")
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
        train = self.rows["train"]
        return {name: vocabulary(self.store.rows[row].get(f"meta_{name}", "") for row in train) for name in self.fields}

    @cached_property
    def meta(self) -> Tensor:
        """Index of every clip's values, int64 ``(N, F)``, 0 = unknown."""
        known = [{name: row.get(f"meta_{name}", "") for name in self.vocabularies} for row in self.store.rows]
        return indices(known, self.vocabularies)


def _division_in(rows: Sequence[Mapping[str, str]]) -> tuple[str, list[str]] | None:
    """Return ``fold`` or ``split`` and its values out of some rows; None where they have neither."""
    for kind in ("fold", "split", "part"):  # VGAF has parts, synthetic clips among them
        values = [row.get(kind, "") for row in rows]
        if kind == "part":
            values = [value.lower() if value.lower() in SPLITS else "" for value in values]
        if any(values):
            return kind.replace("part", "split"), values
    return None
