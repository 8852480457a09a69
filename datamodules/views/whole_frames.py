"""Whole frames of a clip as squares: the video input of EmotiW 2023 (Augusma et al.)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np

from datamodules.entries import Entry
from datamodules.media.clip import Clip
from datamodules.media.frames import to_rgb
from datamodules.media.letterbox import letter_box
from datamodules.views.base import Times, Want, WholeClip


@dataclass(frozen=True)
class WholeFrames(WholeClip):
    """Frames at the middles of equal segments, ``(frames, 3, size, size)``.

    The array is called ``<view>_<frames>``.

    Attributes:
        frames: How many.
        size: Side in pixels.
        fit: How a frame becomes a square: ``squash`` it, or keep its aspect on black (``letterbox``).
        dtype: ``uint8``, or ``float32`` between 0 and 1: four times the space.
    """

    limits: ClassVar[dict[str, tuple[float, float]]] = {"frames": (1, 10_000), "size": (16, 4096)}

    frames: int = 5
    size: int = 224
    fit: Literal["squash", "letterbox"] = "squash"
    dtype: Literal["uint8", "float32"] = "uint8"  # type: ignore[misc]

    def arrays(self, name: str) -> dict[str, str]:
        """Return its one array."""
        return {f"{name}_{self.frames}": {"uint8": "u8", "float32": "f32"}[self.dtype]}

    def describe_source(self) -> str:
        """Return how many frames there will be."""
        return f"{self.frames} frames each"

    def wants(self, piece: Entry) -> Want:
        """Return frames at the middles of equal parts."""
        return Want("video", Times(self.frames, 0.5))

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no frame."""
        return (0, 3, self.size, self.size)

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Scale every frame to the square."""
        return as_tensor([self.fitted(to_rgb(frame)) for frame in clip.frames], self.dtype), 0

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """Return a picture ``(H, W, 3)`` as a square ``(size, size, 3)``."""
        if self.fit == "letterbox":
            return letter_box(image, self.size)
        kind = cv2.INTER_AREA if min(image.shape[:2]) > self.size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, (self.size, self.size), interpolation=kind))


def as_tensor(frames: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """Return frames uint8 ``(H, W, 3)`` as the released loader wants them: ``(N, 3, H, W)``, floats between 0 and 1."""
    stacked = np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
    return stacked if dtype == "uint8" else (stacked / np.float32(255)).astype(np.float32)
