"""Labels that are values: arousal and valence."""

from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError
from datamodules.views.base import EntryView, View


@dataclass(frozen=True)
class Values(EntryView):
    """Labels of an entry that are values, float32 ``(labels,)``, NaN where it has none.

    Attributes:
        labels: Their names, in order.
    """

    labels: tuple[str, ...] = ("arousal", "valence")

    def arrays(self, name: str) -> dict[str, str]:
        """Return the values."""
        return {name: "f32"}

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Refuse names that no label has; the default may be of a source that has categories alone."""
        known = {label for entry in scan.usable for label in entry.labels} | {*Values.labels}
        if not self.labels or set(self.labels) - known:
            raise DataError(f"{option}.labels {list(self.labels)}: give some of {', '.join(sorted(known))}")
        return self, scan

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return the values of an entry."""
        return {name: np.array([entry.labels.get(label, nan) for label in self.labels], np.float32)}
