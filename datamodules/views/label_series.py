"""A label over time, at the same steps as the pictures that it belongs to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Scan, Series
from datamodules.errors import DataError, MediaError
from datamodules.shapes.window_rules import FPS
from datamodules.views.base import Maker, MediaView, View, ViewArrays, Want


@dataclass(frozen=True)
class LabelSeries(MediaView):
    """Class probabilities at every fifth of a second of a video, float32 ``(steps, K)``; NaN where there are none."""

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {name: "f32"}

    def settings(self) -> dict[str, Any]:
        """Return the rate of the grid."""
        return {"fps": FPS}

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Refuse a source without such labels."""
        if scan.usable and not any(_is_series(entry) for entry in scan.usable):
            raise DataError(f"{option}: nothing in {source} has a label over time; name another recipe")
        return self, scan

    def wants(self, piece: Entry) -> Want:
        """Return every step of the video, to count them."""
        if not _is_series(piece):
            raise MediaError(Path(piece.name), "it has no label over time")
        return Want("video", fps=FPS)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that counts the steps."""
        return _Steps(name, entry)


def _is_series(entry: Entry) -> bool:
    return isinstance(next(iter(entry.labels.values()), None), Series)


class _Steps(Maker):
    def __init__(self, name: str, entry: Entry) -> None:
        self.name, self.entry, self.count = name, entry, 0

    def add_frame(self, piece: Entry, frame: VideoFrame) -> None:
        self.count += 1

    def finish(self) -> ViewArrays:
        """Return the row of each step, and as label the most probable class over all of them."""
        series: Series = next(iter(self.entry.labels.values()))
        rows = np.round(np.arange(self.count) / FPS * series.rate).astype(int)
        labels = np.full((self.count, series.values.shape[1]), np.nan, np.float32)
        there = rows < len(series.values)
        labels[there] = series.values[rows[there]]
        if np.isnan(labels).any(1).all():
            raise MediaError(Path(self.entry.name), "no step of it has a label")
        return ViewArrays({self.name: labels}, label=int(np.nanmean(labels, axis=0).argmax()))
