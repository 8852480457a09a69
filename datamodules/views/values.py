"""Labels that are values: arousal and valence."""

from dataclasses import dataclass
from math import nan

import numpy as np

from datamodules.entries import Entry
from datamodules.views.base import EntryView


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

    def make(self, name: str, entry: Entry) -> dict[str, np.ndarray]:
        """Return the values of an entry."""
        return {name: np.array([entry.labels.get(label, nan) for label in self.labels], np.float32)}
