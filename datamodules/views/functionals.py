"""Functionals of speech by openSMILE: eGeMAPS (Eyben et al. 2016) or ComParE (Schuller et al. 2016).

openSMILE and its configurations are audEERING's, under its own licence: research and private use, not commercial.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from datamodules.entries import Entry, Scan
from datamodules.errors import DataError, MediaError
from datamodules.media.clip import Clip
from datamodules.views.base import View, Want, WholeClip


@dataclass(frozen=True)
class Functionals(WholeClip):
    """Functionals of all of the sound, float32 ``(88,)`` of eGeMAPS or ``(6373,)`` of ComParE.

    Attributes:
        features: The set, as openSMILE calls it.
        rate: Samples per second that openSMILE is given.
    """

    dtype: ClassVar[str] = "f32"
    packages: ClassVar[tuple[str, ...]] = (*WholeClip.packages, "opensmile")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"rate": (8000, 96_000)}

    features: Literal["eGeMAPSv02", "ComParE_2016"] = "eGeMAPSv02"
    rate: int = 16000

    def bind(self, option: str, scan: Scan, source: Path) -> tuple[View | None, Scan]:
        """Refuse to begin without openSMILE."""
        try:
            import opensmile  # noqa: F401  # an extra; what it needs itself may be missing too
        except ImportError as error:
            raise DataError(
                f"{option}: openSMILE, of audEERING's research licence (no commercial use), is missing ({error}): pip "
                "install opensmile==2.6.0"
            ) from None
        return self, scan

    def describe_source(self) -> str:
        """Return whose the functionals are, and their licence."""
        return f"{self.features} by openSMILE (audEERING's research licence: no commercial use)"

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(self.rate,))

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the functionals."""
        wave = clip.waves[self.rate] / np.float32(32768)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a sound is too short, in whose place it gives NaN
            found = _extractor(self.features).process_signal(wave, self.rate).to_numpy(np.float32)[0]
        if not np.isfinite(found).all():
            raise MediaError(Path(entry.name), f"{len(wave) / self.rate:.2f} s of sound are too short for functionals")
        return found, 0


@lru_cache(maxsize=1)
def _extractor(features: str) -> Any:
    import opensmile  # an extra, and slow to import

    return opensmile.Smile(feature_set=features, feature_level=opensmile.FeatureLevel.Functionals)
