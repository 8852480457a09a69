"""The split of an entry, and a summary of the splits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.entries import SPLITS, Entry, Scan
from datamodules.errors import DataError
from datamodules.media.near_duplicates import duplicated_across_splits
from datamodules.store.reader import Store
from datamodules.views.base import EntryView, View


@dataclass(frozen=True)
class Split(EntryView):
    """The split of an entry, uint8 ``(1,)``: 0 train, 1 validation, 2 test."""

    def arrays(self, name: str) -> dict[str, str]:
        """Return the split."""
        return {name: "u8"}

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Refuse a source in which the split of an entry is not known."""
        if not all(entry.split for entry in scan.usable):
            raise DataError(f"{option}: {source} has no splits; name another recipe")
        return self, scan

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return the split of an entry."""
        return {name: np.array([SPLITS.index(entry.split)], np.uint8)}

    def summarise(self, name: str, store: Store) -> str:
        """Return the splits of every folder of the source, and how many pictures of one are nearly in another too."""
        splits = np.array([store.read(name, i)[0] for i in range(len(store))], np.int64)
        folders = np.array([id.partition("/")[0] for id in store.ids])
        said = []
        for folder in sorted(set(folders)):
            counts = np.bincount(splits[folders == folder], minlength=len(SPLITS))
            of = ", ".join(f"{count} {split}" for split, count in zip(SPLITS, counts, strict=True))
            said.append(f"{folder} ({of})")
        if "thumbnail" in store.arrays:
            out = duplicated_across_splits(splits, np.stack([store.read("thumbnail", i) for i in range(len(store))]))
            train, val = (int(np.count_nonzero(out[splits == split])) for split in (0, 1))
            if train or val:
                said.append(f"near-duplicates across splits: {train} of train and {val} of val will not be used")
        return ", ".join(said)
