"""Clips divided by fold, and the check that no two splits share a group."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from datamodules.errors import DataError


class Folds:
    """The folds of a DataModule.

    Attributes:
        group_name: What groups are called in messages.
        num_folds: How many folds there are.
        fold: The fold that tests, counted from 0.
        protocol: ``paper`` or ``honest``: see `EmotionDataModule`.
    """

    group_name = "speakers"
    num_folds = 1
    fold: int
    protocol: str

    def split_by_fold(self, folds: np.ndarray, groups: list[str], source: str) -> dict[str, np.ndarray]:
        """Split clips by their test fold: under ``honest`` the next fold validates and does not train.

        Args:
            folds: Fold of every clip, ``(N,)``.
            groups: Group of every clip.
            source: What says so, for error messages.

        Returns:
            Rows of ``train``, ``test`` and, under ``honest``, ``val``.

        Raises:
            DataError: If a split is empty or two splits share a group.
        """
        if self.protocol == "honest" and self.num_folds == 2:
            raise DataError(
                f"--data.protocol honest: one fold tests, the next one validates, and {source} has no third that could "
                "train; make three or more, or use --data.protocol paper"
            )
        validation = (self.fold + 1) % self.num_folds if self.protocol == "honest" else -1
        rows = {
            "train": np.flatnonzero((folds != self.fold) & (folds != validation)),
            "test": np.flatnonzero(folds == self.fold),
        }
        if self.protocol == "honest":
            rows["val"] = np.flatnonzero(folds == validation)
        if empty := [split for split, found in rows.items() if not len(found)]:
            names = ", ".join(sorted(set(groups))[:30])
            raise DataError(f"--data.fold {self.fold}: no {empty[0]} clips; there are {self.group_name} {names}")
        self.check_groups(rows, groups, source)
        return rows

    def check_groups(self, rows: Mapping[str, np.ndarray], groups: Sequence[str], source: str) -> None:
        """Refuse splits that share a group."""
        plain = [unicodedata.normalize("NFC", group).strip() for group in groups]  # one name, however it is written
        held = {split: {plain[row] for row in found} for split, found in rows.items()}
        for split, other in combinations(held, 2):
            if shared := held[split] & held[other]:
                names = ", ".join(sorted(shared)[:10])
                raise DataError(f"{source}: {self.group_name} {names} are in both {split} and {other}")
