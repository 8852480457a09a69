"""The sound of every utterance of a dialogue; of no length where there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.errors import MediaError
from datamodules.media.clip import Clip
from datamodules.views.base import Maker, MediaView, ViewArrays, Want

RATE = 16_000  # Hz


@dataclass(frozen=True)
class Speech(MediaView):
    """Waves of 16 kHz, mono, int16 ``(n,)`` one after the other, and ``<name>_end``, int32 ``(U,)``, where each ends.

    Attributes:
        seconds: Longest wave that is kept of an utterance.
    """

    required: ClassVar[bool] = False
    of_parts: ClassVar[bool] = True
    limits: ClassVar[dict[str, tuple[float, float]]] = {"seconds": (0.1, 600)}

    seconds: float = 10.0

    def arrays(self, name: str) -> dict[str, str]:
        """Return waves and ends."""
        return {name: "i16", f"{name}_end": "i32"}

    def settings(self) -> dict[str, float]:
        """Return the options and the rate."""
        return {"seconds": self.seconds, "rate": RATE}

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(RATE,))

    def start(self, name: str, entry: Entry) -> Maker:
        """Return a maker that gathers the waves."""
        return _Waves(name, round(self.seconds * RATE))


class _Waves(Maker):
    def __init__(self, name: str, longest: int) -> None:
        self.name, self.longest, self.waves = name, longest, list[np.ndarray]()

    def add_clip(self, piece: Entry, clip: Clip) -> None:
        wave = clip.waves[RATE][: self.longest]
        if not wave.any():
            raise MediaError(Path(piece.media["audio"].name), "silent")
        self.waves.append(wave)

    def skip(self, piece: Entry) -> None:
        self.waves.append(np.empty(0, np.int16))

    def finish(self) -> ViewArrays:
        ends = np.cumsum([len(wave) for wave in self.waves]).astype(np.int32)
        return ViewArrays({self.name: np.concatenate([np.empty(0, np.int16), *self.waves]), f"{self.name}_end": ends})
