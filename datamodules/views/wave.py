"""The sound of a clip as it is, mono."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.media import Clip
from datamodules.media_file import MediaError
from datamodules.store import DataError
from datamodules.views.base import Want, WholeClip


@dataclass(frozen=True)
class Wave(WholeClip):
    """The wave, int16 ``(n,)``, starting with the video and no longer than it.

    Attributes:
        rate: Samples per second.
    """

    dtype: ClassVar[str] = "i16"

    rate: int = 44100

    def check(self, option: str) -> None:
        """Refuse a rate that is none."""
        if self.rate < 1000:
            raise DataError(f"{option}.rate {self.rate}: give the rate in Hz, at least 1000.")

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(self.rate,))

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the wave; silence is no recording."""
        wave = clip.waves[self.rate]
        if not wave.any():
            raise MediaError(Path(entry.name), "audio is silent: every sample is zero")
        return wave, 0
