"""Features computed elsewhere: ``.pt`` or ``.npy`` files, one per clip, or one ``.npz``, joined to an index by clip id.

Everything is checked before the first step, and all problems of a kind are reported at once.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import EmotionDataModule
from datamodules.batches import KEYS, Batch, ClipDataset, Split, zero_absent
from datamodules.errors import DataError
from datamodules.reading.feature_files import FeatureFiles, read_index
from datamodules.reading.files import sha256_file
from datamodules.reading.names import check_name, distinct
from datamodules.reading.stand_in import STAND_IN
from datamodules.store.reader import read_manifest
from error_texts import first_names


class PrecomputedTensorDataModule(EmotionDataModule):
    """Any corpus whose features are on disk, by the folds of its index.

    Args:
        root: Folder that holds the index and the features.
        features: Where each modality lies, relative to ``root``: a folder with ``<id>.pt`` or ``<id>.npy`` files, or
            ``file.npz:array``, where the ``.npz`` also holds the clips' ids as ``id``. Rows are joined by id.
        index: CSV with columns id, group, target, fold.
        class_names: Names of the classes; ``0``, ``1``, ... where not given.
        standardize: Modalities whose features are centred and scaled with the statistics of the training clips.
        **kwargs: See `EmotionDataModule`.
    """

    corpus = "precomputed"

    def __init__(
        self,
        root: str,
        features: dict[str, str],
        index: str = "index.csv",
        class_names: list[str] | None = None,
        standardize: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.index_path = Path(root) / index
        if not self.index_path.exists():
            raise DataError(f"no index of clips at {self.index_path}; docs/data.md tells what --data.root holds")
        self.clips = read_index(self.index_path)
        self.ids = [row["id"] for row in self.clips]
        self.groups = [row["group"] for row in self.clips]
        self.targets = torch.tensor([int(row["target"]) for row in self.clips])
        self.folds = np.array([int(row["fold"]) for row in self.clips])
        self.num_folds = int(self.folds.max()) + 1
        super().__init__(root, **kwargs)
        self.features = {check_name(modality, "--data.features"): source for modality, source in features.items()}
        if taken := sorted(self.features.keys() & set(KEYS)):
            raise DataError(f"--data.features: {taken[0]} is the name of something else in a batch; give it another")
        self.modalities = list(self.features)
        self.files = FeatureFiles(Path(root), self.features, self.ids, self.index_path)
        self.manifest = self._read_manifest()
        if self.manifest:
            self.corpus = self.manifest["corpus"]
        self.standardize = standardize or []
        self._class_names = distinct(class_names or [], "--data.class_names") or [
            str(label) for label in range(int(self.targets.max()) + 1)
        ]
        if int(self.targets.max()) >= len(self._class_names):
            raise DataError(
                f"{self.index_path}: target {int(self.targets.max())}, but {len(self._class_names)} classes"
            )
        for name, given in (("missing", self.missing), ("standardize", self.standardize)):
            if unknown := set(given) - set(features):
                raise DataError(f"--data.{name} names {first_names(sorted(unknown))}; there are {', '.join(features)}")

    def _read_manifest(self) -> dict[str, Any]:
        """Return the manifest that ``prepare`` wrote beside the index; empty for a folder made elsewhere.

        Raises:
            DataError: If the manifest is damaged, or a file is no longer the one that was prepared.
        """
        path = self.index_path.with_name("manifest.json")
        if not path.exists():
            return {}
        manifest = read_manifest(path, corpus=str, synthetic=bool, files=dict, fingerprint=str)
        check_name(manifest["corpus"], f"{path}: corpus")
        for name, digest in manifest["files"].items():
            file = path.with_name(check_name(name, f"{path}: files"))
            if not file.is_file() or sha256_file(file) != digest:
                raise DataError(f"{file} is not what was prepared: delete {path.parent} and prepare the corpus again")
        return manifest

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in order of their index."""
        return self._class_names

    @cached_property
    def tables(self) -> dict[str, Tensor]:
        """Features per modality, ``(N, ...)`` in the order of the index; floats as float32, uint8 as stored.

        Raises:
            DataError: If a file is missing or damaged, or an array has another shape, type or a value that is not
                finite.
        """
        tables = {}
        for modality in self.features:
            values = self.files.read(modality)
            if values.dtype == np.uint8 and modality not in self.standardize:
                tables[modality] = torch.from_numpy(values)
                continue
            if values.dtype.kind != "f" and values.dtype != np.uint8:
                raise DataError(f"--data.features: {modality} is {values.dtype}; expected floats or uint8")
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
                values = values.astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
            if len(bad):
                clips = first_names([self.ids[row] for row in bad])
                raise DataError(f"--data.features: {modality} is not finite in {len(bad)} clips: {clips}")
            if modality in self.standardize:
                # In float64 the deviation of a constant is exactly 0; float32 leaves a rounding error to divide by.
                train = values[self.rows["train"]].astype(np.float64)
                deviation = train.std(0)
                values = ((values - train.mean(0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
            tables[modality] = torch.from_numpy(values)
        return tables

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the preparation; without one, SHA-256 over the index and the feature files of its clips."""
        if self.manifest:
            return str(self.manifest["fingerprint"])
        digest = hashlib.sha256(sha256_file(self.index_path).encode())
        for modality, source in sorted(self.features.items()):
            for path in self.files.paths(modality).values():  # in the order of the index
                digest.update(f"{modality} {source.partition(':')[2]} {sha256_file(path)}\n".encode())
        return digest.hexdigest()

    @property
    def synthetic(self) -> bool:
        """Whether the folder is marked as a stand-in."""
        return bool(self.manifest.get("synthetic")) or (Path(self.root) / STAND_IN).exists()

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """Shape of one clip's features per modality."""
        return {modality: list(table.shape[1:]) for modality, table in self.tables.items()}

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the index per split.

        Raises:
            DataError: If a split is empty or two splits share a group.
        """
        return self.split_by_fold(self.folds, self.groups, str(self.index_path))

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips."""
        return np.asarray(self.targets.numpy()[self.rows["train"]])

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows = self.rows[split]
        ids, groups = ([names[row] for row in rows] for names in (self.ids, self.groups))
        return ClipDataset(self, rows, ids, groups, self.targets[rows])

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the features."""
        for modality, table in self.tables.items():
            values, present = table[rows], batch["mask"][modality]
            batch[modality] = zero_absent(values, present) if modality in self.missing else values
