"""Faces of ten emotion corpora (Dresvyanskiy et al., SPECOM 2024): eight categories, arousal and valence.

RECOLA, SEWA, SEMAINE and AFEW-VA have arousal and valence; SAVEE, ExpW, FER+ and RAF-DB categories; AffectNet and
EMOTIC both. `prepare faces` makes one store of them, with one split of all.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from datamodules import still_augment
from datamodules.augment import to_float
from datamodules.batches import Batch, ClipDataset, Split, global_seed
from datamodules.catalogues.faces.corpus import CATEGORIES
from datamodules.errors import DataError
from datamodules.media.near_duplicates import duplicated_across_splits
from datamodules.shapes.stored import StoredDataModule
from datamodules.store.reader import Store

SPLITS: list[Split] = ["train", "val", "test"]


class EmotionFaces(ClipDataset):
    """Rows of the store as batches: face uint8 ``(B, S, S, 3)``, targets by task.

    Args:
        data: The DataModule whose store and options apply.
        rows: Rows of the store that belong to the split.
    """

    def __init__(self, data: "EmotionFacesDataModule", rows: np.ndarray) -> None:
        self.data = data
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of stills."""
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the batch of contract 1 that these stills make."""
        store, rows = self.data.store, self.rows[indices]
        ids = [store.ids[row] for row in rows]
        faces = np.stack([store.read("face", row) for row in rows])
        absent = np.array([self.data.is_missing("face", clip) for clip in ids])
        faces[absent] = 0
        labels, affect = store.labels[rows], self.data.affect[rows]
        # A still without a category is a row of NaN: its loss and metrics pass it over.
        category = np.full((len(rows), len(CATEGORIES)), np.nan, np.float32)
        known = labels >= 0
        category[known] = np.eye(len(CATEGORIES), dtype=np.float32)[labels[known]]
        return {
            "id": ids,
            "group": [store.groups[row] for row in rows],
            "face": torch.from_numpy(faces),
            "length": {},
            "mask": {"face": torch.from_numpy(~absent)},
            "target": {
                "category": torch.from_numpy(category),
                "arousal": torch.from_numpy(affect[:, 0].copy()),
                "valence": torch.from_numpy(affect[:, 1].copy()),
            },
        }


class EmotionFacesDataModule(StoredDataModule):
    """Stills of emotion corpora from the prepared store.

    ``target`` holds ``category`` float ``(B, 8)``, one-hot, a row of NaN without a label, and ``arousal`` and
    ``valence`` ``(B,)`` with NaN. Ids are ``<corpus>/<clip>``; the group is the subject, or the still where nobody is
    named. Pictures nearly the same as one of a split that counts more are not used: test before validation before
    train.

    Args:
        root: Folder of the corpora.
        protocol: ``honest`` selects on the validation split and tests on the test split. ``paper`` is there for
            corpora without a test split alone (AffectNet): it selects and reports on the validation split.
        corpora: Names of the corpora to take; all of the store where not given.
        augment: Augment training pictures by `still_augment`.
        augment_probability: Of each operation.
        augment_without: Operations to leave out; turning faces upside down, for one, is ``vertical_flip``.
        batch_size: Stills per step and device.
        class_weighting: ``balanced`` weighs the loss by inverse class frequency over the labelled training stills.
        **kwargs: See `StoredDataModule`.
    """

    corpus = "faces"
    group_name = "subjects"

    def __init__(
        self,
        root: str = "data/faces",
        protocol: Literal["paper", "honest"] = "honest",
        corpora: list[str] | None = None,
        augment: bool = True,
        augment_probability: float = 0.05,
        augment_without: list[still_augment.Operation] | None = None,
        batch_size: int = 64,
        class_weighting: Literal["none", "balanced"] = "balanced",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, protocol=protocol, batch_size=batch_size, class_weighting=class_weighting, **kwargs)
        if corpora is not None and not corpora:
            raise DataError("--data.corpora []: name at least one, or leave the option out")
        if not 0 <= augment_probability <= 1:
            raise DataError(f"--data.augment_probability {augment_probability}: between 0 and 1")
        if strange := [name for name in augment_without or [] if name not in still_augment.OPERATIONS]:
            names = ", ".join(still_augment.OPERATIONS)
            raise DataError(f"--data.augment_without: {', '.join(strange)} is none of {names}")
        self.check_missing(["face"])
        self.requested = corpora
        self.augment = augment and len(augment_without or []) < len(still_augment.OPERATIONS)
        self.augment_probability = augment_probability
        self.augment_without = augment_without or []

    @property
    def class_names(self) -> list[str]:
        """The eight categories in the paper's order."""
        return list(CATEGORIES)

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Category, arousal and valence: what the targets are by task."""
        value = {"kind": "value", "unit": "", "range": [-1, 1]}
        category = {"kind": "classes", "classes": self.class_names}
        return {"category": category, "arousal": value, "valence": value}

    def check_store(self, store: Store) -> None:
        """Refuse a store that holds no faces, or faces of other categories."""
        settings = store.manifest["settings"]  # those of schema 1 know no catalogue
        made_by = settings.get("catalogue", {**settings, "name": settings.get("corpus")})
        if made_by.get("name") != "faces" or made_by.get("categories") != list(CATEGORIES):
            raise DataError(
                f"{store.folder} holds {made_by.get('name')}, not faces of this version; prepare them again"
            )

    @property
    def input_shapes(self) -> dict[str, list[int]]:
        """``{"face": [3, S, S]}``."""
        height, width, channels = self.store.shape("face", 0)
        return {"face": [channels, height, width]}

    def _all(self, name: str) -> np.ndarray:
        return np.stack([self.store.read(name, row) for row in range(len(self.store))])

    @cached_property
    def affect(self) -> np.ndarray:
        """Arousal and valence of every still of the store, float32 ``(N, 2)``, NaN where there is none."""
        return self._all("affect")

    @cached_property
    def corpora(self) -> list[str]:
        """Names of the corpora that are used.

        Raises:
            DataError: If the store lacks one that was asked for.
        """
        held = sorted({clip.partition("/")[0] for clip in self.store.ids})
        if absent := sorted(set(self.requested or []) - set(held)):
            raise DataError(f"--data.corpora: {', '.join(absent)} not in {self.root}; there are {', '.join(held)}")
        return held if self.requested is None else [name for name in held if name in self.requested]

    @cached_property
    def near_duplicates(self) -> np.ndarray:
        """Which stills are left out, as a split that takes precedence holds nearly the same one; bool ``(N,)``.

        The whole store is compared, whatever ``corpora`` says: what is learned from one may be tuned on another.
        """
        return duplicated_across_splits(self._all("split")[:, 0].astype(np.int64), self._all("thumbnail"))

    @cached_property
    def rows(self) -> dict[Split, np.ndarray]:
        """Rows of the store per split.

        Raises:
            DataError: If a split is empty, two splits share a subject, or the protocol does not fit the corpora.
        """
        splits, used = self._all("split")[:, 0], ~self.near_duplicates
        taken = np.array([clip.partition("/")[0] in self.corpora for clip in self.store.ids])
        rows = {name: np.flatnonzero(taken & used & (splits == code)) for code, name in enumerate(SPLITS)}
        names = ", ".join(self.corpora)
        if self.protocol == "paper":
            if len(rows["test"]):
                raise DataError("--data.protocol paper: the paper selects on validation too; use honest")
            rows = {"train": rows["train"], "test": rows["val"]}
        elif not len(rows["test"]):
            raise DataError(
                f"{names}: no test stills, only train and validation.\n"
                "Take more --data.corpora, or select and report on validation with --data.protocol paper"
            )
        if empty := [name for name, found in rows.items() if not len(found)]:
            raise DataError(f"{names}: no {' and no '.join(empty)} stills; take more --data.corpora")
        self._check_subjects(rows)
        return rows

    def _check_subjects(self, rows: dict[Split, np.ndarray]) -> None:
        seen: dict[str, str] = {}
        for split, found in rows.items():
            for row in found:
                group = self.store.groups[row]
                if seen.setdefault(group, split) != split:
                    raise DataError(f"{self.root}: subject {group} is in both {seen[group]} and {split}; prepare again")

    @property
    def train_labels(self) -> np.ndarray:
        """Class indices of the training stills that have one."""
        labels = self.store.labels[self.rows["train"]]
        return np.asarray(labels[labels >= 0])

    @property
    def class_weights(self) -> list[float] | None:
        """Inverse class frequency over the labelled training stills; None where not asked for or none is labelled."""
        return super().class_weights if len(self.train_labels) else None

    def dataset(self, split: Split) -> EmotionFaces:
        """Return the stills of a split."""
        return EmotionFaces(self, self.rows[split])

    def split_sizes(self) -> dict[str, int]:
        """Return the number of stills per split, 0 validation stills under ``paper``."""
        splits: Sequence[Split] = ("train", "test") if self.protocol == "paper" else SPLITS
        return {"val": 0} | {str(split): len(self.rows[split]) for split in splits}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert stills to the model's input on its device: float ``(B, 3, S, S)``, normalised, augmented in train."""
        face, trainer = batch["face"], self.trainer
        if self.augment and trainer is not None and trainer.training:
            transform = still_augment.make_transform(self.augment_probability, self.augment_without)
            face = still_augment.augment(face, batch["id"], global_seed(), trainer.current_epoch, transform)
        return {**batch, "face": to_float(face[:, None])[:, :, 0]}
