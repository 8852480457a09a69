"""Where prepared arrays go: the flat store, or files of another layout with the store as their record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datamodules.entries import Catalogue, Entry
from datamodules.store.reader import Store


@dataclass(frozen=True)
class Filled:
    """Content of a sink when the preparation is done.

    Attributes:
        content: How much it is, for the last line.
        fingerprint: Of all of it.
        synthetic: Whether it is of a stand-in.
        place: Where it lies.
    """

    content: str
    fingerprint: str
    synthetic: bool
    place: Path

    def summary(self, seconds: float) -> str:
        """Return what the command prints last: size, time, fingerprint and place."""
        mark = " (SYNTHETIC)" * self.synthetic
        return f"{self.content} in {seconds:.0f} s; fingerprint {self.fingerprint[:12]}{mark}; {self.place}"


@dataclass(frozen=True)
class StoreSink:
    """The flat store: one file per array, one contiguous read per entry.

    Attributes:
        packages: What its bytes depend on; their versions are recorded.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    def settings(self) -> dict[str, Any]:
        """Return what the store is keyed by besides catalogue and views."""
        return asdict(self)

    def holds(self, catalogue: Catalogue) -> bool:
        """Return whether arrays of a corpus can go here; those of others go into the flat store."""
        return True

    def adopt(self, source: Path, out: Path | None) -> Filled | None:
        """Adopt a folder that holds arrays of this layout already; None where it is no such folder.

        Args:
            source: The folder.
            out: Where the user wants the corpus.
        """
        return None

    def check(self, out: Path, entries: Sequence[Entry], arrays: Collection[str]) -> None:
        """Refuse options out of range and a folder that somebody else filled.

        Args:
            out: Folder of the corpus.
            entries: All there are.
            arrays: Names of all arrays.
        """

    def folder(self, out: Path, name: str, arrays: Collection[str]) -> Path:
        """Return the folder of the store.

        Args:
            out: Of the corpus.
            name: ``prepared``, or what the store of a recipe that is not the corpus' own is called.
            arrays: Names of all arrays.
        """
        return out / name

    def arrays(self, dtypes: Mapping[str, str]) -> dict[str, str]:
        """Return the arrays that the store holds."""
        return dict(dtypes)

    def write_files(self, out: Path, entry: Entry, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write, in the process that made them, arrays that do not go into the store; return the others."""
        return arrays

    def after(self, source: Path, out: Path, entries: Sequence[Entry], arrays: Collection[str]) -> None:
        """Write what follows when all entries are done, before the store counts as complete."""

    def finish(self, out: Path, store: Store) -> Filled:
        """Write what follows when the store is complete; return a description of the result."""
        size = sum(array["bytes"] for array in store.manifest["arrays"].values())
        return Filled(f"{size / 1e6:.0f} MB", store.fingerprint, store.synthetic, store.folder)
