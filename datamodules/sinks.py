"""Where prepared arrays go: the flat store, or files of another layout with the store as their record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.entries import Entry
from datamodules.store import Store


@dataclass(frozen=True)
class StoreSink:
    """The flat store: one file per array, one contiguous read per entry."""

    def settings(self) -> dict[str, Any]:
        """Return what the store is keyed by besides catalogue and views."""
        return asdict(self)

    def check(self, out: Path, entries: Sequence[Entry]) -> None:
        """Refuse a folder that somebody else filled."""

    def folder(self, out: Path, name: str) -> Path:
        """Return the folder of the store.

        Args:
            out: Of the corpus.
            name: ``prepared``, or what the store of a recipe that is not the corpus' own is called.
        """
        return out / name

    def arrays(self, dtypes: Mapping[str, str]) -> dict[str, str]:
        """Return those arrays that the store holds."""
        return dict(dtypes)

    def keep(self, out: Path, entry: Entry, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write, in the process that made them, arrays that do not go into the store; return the others."""
        return arrays

    def after(self, source: Path, out: Path, entries: Sequence[Entry]) -> None:
        """Write what follows when all entries are done, before the store counts as complete.

        Args:
            source: The raw folder.
            out: Folder of the corpus.
            entries: Those that are in the store.
        """

    def told(self, out: Path, store: Store) -> str:
        """Return where the prepared corpus lies, for the last line."""
        return str(store.folder)
