"""The audio input of MSAF and CFN-SR (Fu et al. 2021): 13 mel-frequency cepstral coefficients of 2.45 s."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from datamodules.entries import Entry
from datamodules.errors import MediaError
from datamodules.media.clip import Clip
from datamodules.media.mfcc import mfcc
from datamodules.views.base import Want, WholeClip

HOP = 512  # samples


@dataclass(frozen=True)
class MFCC(WholeClip):
    """Coefficients, float32 ``(count, steps)``; zeros for steps of sound that are not there. Longer sound is cut.

    Attributes:
        rate: Samples per second.
        offset: Seconds after the beginning at which they begin.
        seconds: How long they are.
        count: Number of coefficients.
        steps: As many as `seconds` give.
        most_padded: Steps that may be missing at the end.
        short: What becomes of a clip that lacks more: ``skip`` it, or ``pad`` it: they begin earlier, as far as
            there is sound, and end in zeros.
    """

    dtype: ClassVar[str] = "f32"
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        "rate": (1000, 384_000),
        "offset": (0, 600),
        "seconds": (0.1, 600),
        "count": (1, 128),
        "steps": (1, 100_000),
        "most_padded": (0, 100_000),
    }

    rate: int = 44100
    offset: float = 0.5
    seconds: float = 2.45
    count: int = 13
    steps: int = 212
    most_padded: int = 2
    short: Literal["skip", "pad"] = "skip"

    def settings(self) -> dict[str, Any]:
        """Return the options, without one that no store had before there was it."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("short", "skip")}

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(self.rate,))

    def empty_shape(self, array: str) -> tuple[int, ...]:
        """Return the shape of no step."""
        return (self.count, 0)

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the coefficients of the part, and how many steps are padding."""
        wave, first, length = clip.waves[self.rate], int(self.offset * self.rate), int(self.seconds * self.rate)
        padded = self.steps - _steps(wave[first : first + length])
        if padded > self.most_padded:
            if self.short == "skip":
                seconds, steps = len(wave) / self.rate, self.steps - padded
                raise MediaError(
                    Path(entry.name), f"{seconds:.2f} s of audio give {steps} of the {self.steps} MFCC steps"
                )
            first = max(0, min(first, len(wave) - length))
            padded = self.steps - _steps(wave[first : first + length])
        part = wave[first : first + length]
        coefficients = mfcc(part / np.float32(32768), self.rate, self.count)[:, : self.steps]
        return np.pad(coefficients, ((0, 0), (0, max(0, padded)))), max(0, padded)


def _steps(wave: np.ndarray) -> int:
    return 1 + len(wave) // HOP if len(wave) else 0
