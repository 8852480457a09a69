"""Frames of every utterance of a dialogue that has a video."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.media.clip import Clip
from datamodules.media.frames import to_rgb
from datamodules.views.base import Maker, MediaView, Times, ViewArrays, Want


@dataclass(frozen=True)
class Films(MediaView):
    """Frames, uint8 RGB ``(V, frames, size, size, 3)`` of V utterances, and ``<name>_seen``, uint8 ``(U,)``: of which.

    Attributes:
        frames: How many of an utterance, at the beginnings of equal parts.
        size: Side in pixels; frames are squashed to a square.
    """

    required: ClassVar[bool] = False
    of_parts: ClassVar[bool] = True
    limits: ClassVar[dict[str, tuple[float, float]]] = {"frames": (1, 1000), "size": (8, 4096)}

    frames: int = 8
    size: int = 224

    def arrays(self, name: str) -> dict[str, str]:
        """Return frames, and whose they are."""
        return {name: "u8", f"{name}_seen": "u8"}

    def wants(self, piece: Entry) -> Want:
        """Return frames at the beginnings of equal parts."""
        return Want("video", Times(self.frames))

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that gathers the films."""
        return _Films(self, name)


class _Films(Maker):
    def __init__(self, view: Films, name: str) -> None:
        self.view, self.name, self.films, self.seen = view, name, list[np.ndarray](), list[bool]()

    def add_clip(self, piece: Entry, clip: Clip) -> None:
        self.films.append(np.stack([to_rgb(frame, squash=self.view.size) for frame in clip.frames]))
        self.seen.append(True)

    def skip(self, piece: Entry) -> None:
        self.seen.append(False)

    def finish(self) -> ViewArrays:
        size = self.view.size
        films = np.stack(self.films) if self.films else np.empty((0, self.view.frames, size, size, 3), np.uint8)
        return ViewArrays({self.name: films, f"{self.name}_seen": np.array(self.seen, np.uint8)})
