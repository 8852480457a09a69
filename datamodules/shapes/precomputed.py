"""Features computed elsewhere: files joined to an index by clip id, or a pickle of MMSA.

Everything is checked before the first step, and all problems of a kind are reported at once.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.base import EmotionDataModule, Normalize
from datamodules.batches import KEYS, Batch, ClipDataset, Split, zero_absent
from datamodules.errors import DataError
from datamodules.reading.feature_csv import CONFIDENCE
from datamodules.reading.feature_files import FeatureFiles, check_memory, found_modalities
from datamodules.reading.feature_index import CLASSES, index_of, read_index
from datamodules.reading.mmsa import SUFFIXES, MMSAFile, read_mmsa
from datamodules.reading.names import check_name
from datamodules.reading.provenance import NAME, check_columns, told_of
from datamodules.reading.stand_in import STAND_IN
from datamodules.shapes.feature_options import check_options
from datamodules.shapes.feature_tables import Statistics, Table, dense_table, fitted, known_fit, scaled, sequence_table
from datamodules.shapes.features_made import features_reading, fingerprint_of, read_feature_manifest, recipe_of
from datamodules.shapes.scaling import clips_of_speakers, refuse_to_standardize
from datamodules.shapes.sequences import Sequences


class PrecomputedTensorDataModule(EmotionDataModule):
    """Any corpus whose features are on disk, by the folds or splits of its index.

    Args:
        root: Folder that holds the index and the features; or a pickle of MMSA (``.pkl``, or ``.pt`` of the same),
            which holds all of it.
        features: Where each modality lies, relative to ``root``: a folder with ``<id>.pt`` or ``<id>.npy`` files,
            ``folder:array`` with ``<id>.npz`` files, or ``file.npz:array``, where the ``.npz`` also holds the clips'
            ids as ``id``; of a pickle, the field. Rows are joined by id. Every folder with features, or text, audio and
            vision of a pickle, where not given.
        index: CSV with columns id, group, fold or split, and target, ``soft_<class>`` or ``value_<task>``.
        class_names: Names of the classes; ``0``, ``1``, ... where not given.
        standardize: Modalities whose features are centred and scaled with the statistics of the training clips, or all.
        normalize: ``speaker`` centres and scales every modality of every speaker with the statistics of all clips of
            that speaker, those of the test too; no label is read. Stamps results TRANSDUCTIVE. ``standardize`` follows.
        columns: Modalities that lie in tables, ``<id>.csv``, and their columns, names or globs: ``{face: ["AU*_r"]}``.
        confidence: Rows of a table whose ``confidence`` is below it hold no face.
        steps: Number of steps that every clip of a modality is cut or padded to; the longest of the batch where not
            given.
        time_last: Modalities whose last axis is time, ``(n, T)``, as MFCCs have it; the first where not given.
        values: Columns of the index, or fields of a pickle, that hold values; those named ``value_<task>``, or
            ``regression_labels``, where not given.
        **kwargs: See `EmotionDataModule`.
    """

    corpus = "precomputed"

    def __init__(
        self,
        root: str,
        features: dict[str, str] | None = None,
        index: str = "index.csv",
        class_names: list[str] | None = None,
        standardize: list[str] | Literal["all"] | None = None,
        normalize: Normalize = "none",
        columns: dict[str, list[str]] | None = None,
        confidence: float = CONFIDENCE,
        steps: dict[str, int] | None = None,
        time_last: list[str] | None = None,
        values: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        whole = Path(root)
        is_pickle = whole.suffix in SUFFIXES and not whole.is_dir()
        self.index_path = whole if is_pickle else whole / index
        if not self.index_path.exists():
            raise DataError(f"no index of clips at {self.index_path}; docs/data.md tells what --data.root holds")
        if is_pickle:
            if given := [name for name, of in (("class_names", class_names), ("columns", columns)) if of]:
                told = f"{whole} holds values and arrays, no classes and no tables; leave it out"
                raise DataError(f"--data.{given[0]}: {told}")
            check_memory([whole])
            pickle = read_mmsa(whole, values or ())
            self.clip_index = pickle.index
            self.group_name = "videos"
            features = features or pickle.modalities
        else:
            self.clips = read_index(self.index_path, values or ())
            self.clip_index = index_of(self.index_path, self.clips, values or (), class_names or [])
            features = found_modalities(whole, columns or {}) if features is None else features
        self.ids, self.groups, folds = self.clip_index.ids, self.clip_index.groups, self.clip_index.folds
        self.targets = {task: torch.from_numpy(labels) for task, labels in self.clip_index.targets.items()}
        if folds is None:
            self.protocols = ("honest",)  # official splits
        else:
            self.num_folds = int(folds.max()) + 1
        super().__init__(root, **kwargs)
        if not features:
            raise DataError(f"--data.features: names no modality, and {whole} holds none; name where each lies")
        self.features = {check_name(modality, "--data.features"): source for modality, source in features.items()}
        if taken := sorted(self.features.keys() & set(KEYS)):
            raise DataError(f"--data.features: {taken[0]} is the name of something else in a batch; give it another")
        self.modalities = list(self.features)
        self.standardize = list(features) if standardize == "all" else standardize or []
        self.normalize = normalize
        self.speakers = clips_of_speakers(self.groups) if normalize == "speaker" else []
        self.steps, self.time_last, self.confidence = steps or {}, time_last or [], confidence
        # Known with the tables: what training clips say of what is standardized, and what is stored as bytes.
        self.statistics: dict[str, Statistics] = {}
        self._kept: dict[str, Any] | None = None  # by a checkpoint, in place of what training clips say here
        self.bytes: set[str] = set()
        named: dict[str, Any] = {"missing": self.missing, "standardize": self.standardize, "columns": columns or {}}
        check_options(list(self.features), steps=self.steps, time_last=self.time_last, **named)
        if not 0 <= confidence <= 1:
            raise DataError(f"--data.confidence {confidence}: it is between 0 and 1")
        of = (whole, self.features, self.ids, self.index_path, columns or {}, confidence, self.time_last)
        self.files: MMSAFile | FeatureFiles = pickle if is_pickle else FeatureFiles(*of)
        self.manifest = {} if is_pickle else read_feature_manifest(self.index_path)
        if self.manifest:
            self.corpus = self.manifest["corpus"]
        self.folder = self.index_path.parent if is_pickle else whole
        self._told = told_of(
            self.folder / NAME, list(self.features), pickle.config if is_pickle else {}, ask=not self.manifest
        )

    @property
    def provenance(self) -> dict[str, dict[str, Any]]:
        """Origin of the features by modality, as far as it is told: tool, version, settings, unit, columns."""
        chosen = self.files.chosen if isinstance(self.files, FeatureFiles) else {}
        read = {modality: {"columns": names} for modality, names in chosen.items()}
        return {
            name: self._told.get(name, {}) | read.get(name, {})
            for name in self.features
            if name in self._told or name in read
        }

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Settings of the store that some of the arrays were taken from, where it lies beside the index; else empty."""
        return recipe_of(self.index_path, self.manifest)

    @property
    def reading(self) -> dict[str, Any]:
        """What features of a clip are like, and what training fitted; empty where they need others of their speaker."""
        if self.transductive:
            return {}
        return features_reading(
            self.input_shapes,
            sources=dict(self.features),
            columns=self.files.chosen if isinstance(self.files, FeatureFiles) else {},
            confidence=self.confidence,
            steps=self.steps,
            time_last=self.time_last,
            sequences=[name for name, table in self.tables.items() if isinstance(table, Sequences)],
            bytes=sorted(self.bytes),
            statistics=self.fitted,
            views=self.prepared_by.get("views", {}),
        )

    @property
    def fitted(self) -> dict[str, list[Any]]:
        """Mean and deviation by modality of what is standardised, as plain values; to be asked for after the tables."""
        return {name: [of.tolist() for of in found] for name, found in self.statistics.items()}

    def scale_as(self, state_dict: dict[str, Any]) -> None:
        """Standardise as the training of a checkpoint did, whatever was asked for here."""
        own, reading = self.reading, state_dict.get("reading") or {}
        kept = reading["options"].get("statistics") if own and reading.get("data") == own["data"] else None
        if kept is not None and kept != self.fitted:
            self._kept, self.statistics = kept, {}
            self.__dict__.pop("tables")  # to be read anew

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other classes; warn of one that was trained on features made in another way."""
        super().load_state_dict(state_dict)
        for modality, of in (state_dict.get("provenance") or {}).items():
            own = self.provenance.get(modality, of)
            if differing := [name for name in of if own.get(name, of[name]) != of[name]]:
                rank_zero_warn(
                    f"--ckpt_path: it was trained on {modality} of another {', '.join(differing)} than --data has"
                )

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What each output means, as plain values."""
        return self.clip_index.outputs

    @property
    def tasks(self) -> dict[str, int]:
        """Number of classes by task, 0 for a value; empty for one set of classes."""
        if list(self.outputs) == [CLASSES]:
            return {}
        return {task: len(of.get("classes", ())) for task, of in self.outputs.items()}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in order of their index; none where there are values alone."""
        return list(self.outputs.get(CLASSES, {}).get("classes", ()))

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Features per modality in the order of the index; floats as float32, uint8 as stored.

        Raises:
            DataError: If a file is missing, damaged, of another shape or type, not finite, or they fill the memory.
        """
        check_memory(self.files.files())
        return {modality: self._table(modality) for modality in self.features}

    def _table(self, modality: str) -> Table:
        found = self.files.read(self.features[modality] if isinstance(self.files, MMSAFile) else modality)
        if self.speakers and found[0].dtype == np.uint8:
            raise refuse_to_standardize(modality, "bytes, as pictures are")
        if found[0].dtype == np.uint8:
            self.bytes.add(modality)
        train = self.rows["train"] if modality in self.standardize else None
        axis, steps = int(modality in self.time_last), self.steps.get(modality)
        table: Table
        if isinstance(found, np.ndarray) and steps is None:
            table = dense_table(modality, found, self.ids)
        else:
            table = sequence_table(modality, list(found), self.ids, axis, steps)
        for rows in self.speakers:
            table = scaled(table, fitted(table, rows), rows)
        if self._kept is not None:
            statistics = known_fit(modality, table, self._kept[modality]) if modality in self._kept else None
        else:
            statistics = None if train is None else fitted(table, train)
        if statistics:
            self.statistics[modality] = statistics
            table = scaled(table, statistics)
        shape = table.shape if isinstance(table, Sequences) else table.shape[1:]
        check_columns(self.folder / NAME, modality, self.provenance, shape[0] if axis else shape[-1])
        return table

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the preparation; without one, SHA-256 over the index and the feature files of its clips."""
        if self.manifest:
            return str(self.manifest["fingerprint"])
        return fingerprint_of(self.index_path, self.features, self.files)

    @property
    def synthetic(self) -> bool:
        """Whether the folder is marked as a stand-in."""
        return bool(self.manifest.get("synthetic")) or (self.folder / STAND_IN).exists()

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """Shape of one clip's features per modality; 0 steps where their number differs from batch to batch."""
        return {
            modality: table.shape if isinstance(table, Sequences) else list(table.shape[1:])
            for modality, table in self.tables.items()
        }

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the index per split.

        Raises:
            DataError: If a split is empty, or two splits or folds share a group; splits of a pickle may, which is told.
        """
        index = self.clip_index
        if index.folds is not None:
            divided = self.split_by_fold(index.folds, self.groups, str(self.index_path))
            folds = {f"fold {fold}": np.flatnonzero(index.folds == fold) for fold in np.unique(index.folds)}
            self.check_groups(folds, self.groups, str(self.index_path))  # or another fold of the same table is refused
            return divided
        splits = np.array(index.splits)
        rows = {name: np.flatnonzero(splits == name) for name in ("train", "val", "test")}
        for split, found in rows.items():
            if not len(found):
                raise DataError(f"{self.index_path}: no {split} clips; official splits are train, val and test")
        try:
            self.check_groups(rows, self.groups, str(self.index_path))
        except DataError as error:
            if not isinstance(self.files, MMSAFile):
                raise
            rank_zero_warn(f"{error}, as the file divides them: scores may be optimistic")
        return rows

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training clips, of shares the most probable; -1 where a clip has none."""
        rows = self.rows["train"]
        if CLASSES not in self.targets:
            return np.full(len(rows), -1)
        labels = self.clip_index.targets[CLASSES][rows]
        return labels if labels.ndim == 1 else np.where(np.isnan(labels).any(1), -1, labels.argmax(1))

    @property
    def train_values(self) -> dict[str, np.ndarray]:
        """Labels of the training clips by task, of every value; NaN where there is none."""
        targets = self.clip_index.targets
        return {task: targets[task][self.rows["train"]] for task, classes in self.tasks.items() if not classes}

    def dataset(self, split: Split) -> ClipDataset:
        """Return the clips of a split."""
        rows = self.rows[split]
        ids, groups = ([names[row] for row in rows] for names in (self.ids, self.groups))
        targets = {task: labels[rows] for task, labels in self.targets.items()}
        return ClipDataset(self, rows, ids, groups, targets if self.tasks else targets[CLASSES])

    def fill(self, batch: Batch, rows: np.ndarray) -> None:
        """Add the features; a clip without a step has none."""
        for modality, table in self.tables.items():
            if isinstance(table, Sequences):
                values, length = table.padded(rows.tolist())
                batch["length"][modality] = length
                batch["mask"][modality] &= length > 0
            else:
                values = table[rows]
            batch[modality] = zero_absent(values, batch["mask"][modality]) if modality in self.missing else values
