"""A store in memory, for arrays that are read once: those of raw files that a model is asked about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.store.reader import Store


class HeldStore(Store):
    """Arrays of entries that were just prepared, read as those of a store on disk are.

    Args:
        settings: As a manifest has them.
        rows: Of the index: id, group and further columns.
        held: Arrays of every entry by name; the same names of all.
    """

    def __init__(
        self, settings: Mapping[str, Any], rows: Sequence[dict[str, str]], held: Sequence[Mapping[str, np.ndarray]]
    ) -> None:
        self.folder = Path("the files asked about")
        self.manifest = {"schema": 2, "synthetic": False, "settings": dict(settings)}
        self.fingerprint, self.synthetic = "", False
        self.rows = list(rows)
        self.ids, self.groups = [row["id"] for row in rows], [row["group"] for row in rows]
        self.labels = np.full(len(rows), -1)
        self.held = held
        self.arrays = {name: values.dtype for name, values in (held[0] if held else {}).items()}

    def shape(self, name: str, i: int) -> tuple[int, ...]:
        """Return the shape of array `name` of entry `i`."""
        return self.held[i][name].shape

    def read(self, name: str, i: int) -> np.ndarray:
        """Return the array `name` of entry `i`."""
        return self.held[i][name]
