"""The label of an entry at the same steps as the pictures that it belongs to."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from av.video.frame import VideoFrame

from datamodules.entries import Entry, Scan, Series
from datamodules.errors import LackingError, MediaError
from datamodules.shapes.grids.window_rules import FPS
from datamodules.views.base import Maker, MediaView, View, ViewArrays, Want


@dataclass(frozen=True)
class LabelSeries(MediaView):
    """Class probabilities at every fifth of a second of a video, float32 ``(steps, K)``; NaN where there are none.

    A class or shares of the classes that an entry has as a whole count at every step.

    Attributes:
        classes: How many there are, K; 0 for those of the catalogue.
    """

    limits: ClassVar[dict[str, tuple[float, float]]] = {"classes": (0, 10_000)}

    classes: int = 0

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {name: "f32"}

    def settings(self) -> dict[str, Any]:
        """Return the rate of the grid."""
        return {"fps": FPS}

    def lacking(self, scan: Scan) -> str:
        """Return the video where no entry has one: without its steps a label is not over time."""
        return "" if not scan.usable or any("video" in entry.media for entry in scan.usable) else "video"

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Make labels of whole entries labels over time; refuse a source without classes."""
        bound = replace(self, classes=self.classes or len(scan.classes))
        scan = scan.replaced(lambda entry: _with_series(entry, bound.classes))
        if scan.usable and not any(_is_series(entry) for entry in scan.usable):
            raise LackingError(f"{option}: nothing in {source} is labelled with a class; name another recipe")
        return bound, scan

    def wants(self, piece: Entry) -> Want:
        """Return every step of the video, to count them."""
        if not _is_series(piece):
            raise MediaError(Path(piece.name), "it is labelled with no class")
        return Want("video", fps=FPS)

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no step."""
        return (0, self.classes)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that counts the steps."""
        return _Steps(name, entry)


def _is_series(entry: Entry) -> bool:
    return isinstance(next(iter(entry.labels.values()), None), Series)


def _with_series(entry: Entry, classes: int) -> Entry:
    """Return an entry whose class or shares of classes hold for all of it; without them as it is."""
    name, label = next(iter(entry.labels.items()), ("", None))
    if isinstance(label, int) and 0 <= label < classes:
        label = np.eye(classes, dtype=np.float32)[label]
    if not isinstance(label, np.ndarray) or label.shape != (classes,):
        return entry
    return replace(entry, labels={**entry.labels, name: Series(label[None].astype(np.float32))})


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
