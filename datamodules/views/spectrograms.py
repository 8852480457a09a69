"""Mel spectrograms of the equal segments of a clip: the input of the audio network of EmotiW 2023 (Augusma et al.)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.media.spectrogram import RATE, spectrograms
from datamodules.views.base import Maker, MediaView, Once, ViewArrays, Want


@dataclass(frozen=True)
class Spectrograms(MediaView):
    """Spectrograms of equal segments, float32 ``(n, 1, size, size)`` for every number of them.

    The arrays are called ``<view>_<n>``. An entry of which the corpus has no sound has none: ``(0, 1, size, size)``.

    Attributes:
        segments: Numbers of equal segments, each of which has a spectrogram.
        size: Mel bands and steps.
    """

    limits: ClassVar[dict[str, tuple[float, float]]] = {"size": (106, 1024)}

    segments: tuple[int, ...] = (5,)
    size: int = 128

    def arrays(self, name: str) -> dict[str, str]:
        """Return an array for every number of segments."""
        return {f"{name}_{count}": "f32" for count in self.segments}

    def check(self, option: str) -> None:
        """Refuse values that make no sense, and pictures that are too small for the network."""
        if self.size < 106:
            raise DataError(f"{option}.size {self.size}: the audio network needs at least 106")
        super().check(option)
        counts = list(self.segments)
        if not counts or len(set(counts)) < len(counts) or not 1 <= min(counts) <= max(counts) <= 10_000:
            raise DataError(f"{option}.segments {counts}: give numbers from 1 to 10000, each once")

    def lacking(self, scan: Scan) -> str:
        """Return the sound where no entry has any, nor a film that may be silent."""
        media = {medium for entry in scan.usable for medium in entry.media}
        return "" if not scan.usable or media & {"audio", "video"} else "audio"

    def wants(self, piece: Entry) -> Want | None:
        """Return the sound, if there is any."""
        return Want("audio", rates=(RATE,)) if "audio" in piece.media else None

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no segment."""
        return (0, 1, self.size, self.size)

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that waits for the sound."""
        arrays = self.arrays(name)

        def make(piece: Entry, clip: Clip) -> ViewArrays:
            wave = clip.waves[RATE]
            if len(wave) < RATE // 10:
                raise MediaError(Path(piece.name), f"only {len(wave)} samples of sound")
            counts = zip(arrays, self.segments, strict=True)
            return ViewArrays({array: spectrograms(wave, count, self.size) for array, count in counts})

        return Once(make, ViewArrays(self.empty(name)))
