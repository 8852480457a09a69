"""The wave of a clip, mono."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.media.clip import Clip
from datamodules.media.sound import refuse_silence
from datamodules.views.base import Want, WholeClip


@dataclass(frozen=True)
class Wave(WholeClip):
    """The wave, int16 ``(n,)``, starting with the video and no longer than it.

    Attributes:
        rate: Samples per second.
    """

    dtype: ClassVar[str] = "i16"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"rate": (1000, 384_000)}

    rate: int = 44100

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(self.rate,))

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the wave; silence is no recording."""
        wave = clip.waves[self.rate]
        refuse_silence(entry.name, wave)
        return wave, 0
