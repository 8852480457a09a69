"""The base of every DataModule with a prepared store: its folder, fingerprint and recipe."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from datamodules.base import EmotionDataModule
from datamodules.batches import ClipDataset, Split
from datamodules.errors import DataError
from datamodules.reading.names import fault_in_name
from datamodules.reading.tokens import WORDPIECE
from datamodules.store.reader import Store

STAND_INS = Path(__file__).parents[1] / "standins"


class StoredDataModule(EmotionDataModule):
    """Clips of a prepared store.

    Args:
        root: Folder of the corpus.
        store: Which of its stores: ``prepared`` by the recipe of the corpus' own paper, or ``prepared-<recipe>``.
        **kwargs: See `EmotionDataModule`.
    """

    def __init__(self, root: str, store: str = "prepared", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.folder = store_folder(root, store)

    @cached_property
    def store(self) -> Store:
        """The prepared clips.

        Raises:
            DataError: There are none, with the ways to get some, or they are of another kind.
        """
        if not self.folder.exists():
            raise DataError(no_store(self.folder, self.corpus))
        store = Store(self.folder)
        self.check_store(store)
        return store

    def check_store(self, store: Store) -> None:
        """Refuse a store that lacks what is read."""

    def clips(self, rows: np.ndarray, targets: Tensor | dict[str, Tensor]) -> ClipDataset:
        """Return rows of the store as a dataset.

        Args:
            rows: Which, ``(N,)``.
            targets: Their labels ``(N, ...)``, or a dict of these by task.
        """
        ids, groups = self.store.ids, self.store.groups
        return ClipDataset(self, rows, (ids[row] for row in rows), (groups[row] for row in rows), targets)

    def rows_of_split(self, split: Split, usable: np.ndarray | None = None) -> np.ndarray:
        """Return the rows of the store that belong to an official split.

        Args:
            split: Its name.
            usable: Which rows count, bool ``(N,)``; all where not given.
        """
        found = np.array([row["split"] == split for row in self.store.rows])
        found = found if usable is None else found & usable
        if not found.any():
            raise DataError(f"{self.store.folder}: no {split} entries; prepare a source that has all three splits")
        return np.flatnonzero(found)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the store."""
        return self.store.fingerprint

    @property
    def synthetic(self) -> bool:
        """Whether the store says that it is a stand-in."""
        return self.store.synthetic

    @property
    def prepared_by(self) -> dict[str, Any]:
        """Catalogue, recipe and views that made the store, as resolved."""
        return dict(self.store.manifest["settings"])

    def state_dict(self) -> dict[str, Any]:
        """Return the description of its input, with the tokenizers that the store keeps, by view."""
        views = self.prepared_by.get("views", {})
        paths = {name: [self.folder / f"{name}.{file}" for file in WORDPIECE] for name in views}
        kept = {
            name: {file: path.read_text(encoding="utf-8") for file, path in zip(WORDPIECE, of, strict=True)}
            for name, of in paths.items()
            if all(path.is_file() for path in of)
        }
        return {**super().state_dict(), "tokenizers": kept}


def store_folder(root: str, store: str | None) -> Path:
    """Return the folder of a store.

    Args:
        root: Folder of the corpus.
        store: Name of the store; ``prepared``, or the only one there is, where not given.

    Raises:
        DataError: It is no such name, or there are several to choose from.
    """
    if store is None:
        there = sorted(path.name for path in Path(root).glob("prepared*") if path.is_dir())
        if len(there) > 1 and "prepared" not in there:
            raise DataError(f"{root} holds several stores, {', '.join(there)}; name one with --data.store")
        store = "prepared" if "prepared" in there or not there else there[0]
    if fault := fault_in_name(store):
        raise DataError(f"--data.store {store!r}: {fault}; name a folder of {root}, prepared or prepared-RECIPE")
    return Path(root) / store


def no_store(folder: Path, corpus: str) -> str:
    """Return the error message for a missing store."""
    recipe = folder.name.removeprefix("prepared-")
    more = "" if recipe == folder.name else f" --recipe {recipe}"
    real = f"see docs/data.md, then `python cli.py prepare {corpus} --source DIR{more}`"
    if not (STAND_INS / f"{corpus}.py").exists():  # nobody draws it
        return f"no prepared {corpus} in {folder}: {real}, or name another folder with --data.root"
    return (
        f"no prepared {corpus} in {folder}. Real data: {real}.\nA stand-in: `python cli.py synth {corpus}`, `python "
        f"cli.py prepare {corpus} --source data/synthetic/{corpus}{more}`, then `--data.root data/synthetic/{corpus}`"
    )
