"""How something is said, in one vector: functionals of what `datamodules.media.speech_frames` finds in every frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.entries import Entry
from datamodules.errors import MediaError
from datamodules.media.clip import Clip
from datamodules.media.sound import refuse_silence
from datamodules.media.speech_frames import HOP, RATE, speech_frames
from datamodules.views.base import Want, WholeClip

SHORTEST = 0.1  # seconds of speech
SMOOTHED, RISE = 7, 3.0  # frames, dB: a syllable is a rise of the level by so much


@dataclass(frozen=True)
class SpeechFunctionals(WholeClip):
    """Functionals of level, pitch, mel bands, cepstral coefficients, voice quality and timing, float32 ``(1286,)``.

    Levels count from that of the clip's own speech: how loud the recording is changes nothing.
    """

    dtype: ClassVar[str] = "f32"

    def wants(self, piece: Entry) -> Want:
        """Return the sound."""
        return Want("audio", rates=(RATE,))

    def make(self, entry: Entry, clip: Clip) -> tuple[np.ndarray, int]:
        """Return the functionals."""
        wave = clip.waves[RATE]
        refuse_silence(entry.name, wave)
        if len(wave) < SHORTEST * RATE:
            raise MediaError(Path(entry.name), f"only {len(wave)} samples of sound")
        return functionals(wave).astype(np.float32), 0


def functionals(wave: np.ndarray) -> np.ndarray:
    """Return the functionals of a wave.

    Args:
        wave: int16 ``(n,)`` at 16 kHz, not silent.

    Returns:
        float64 ``(1286,)``, none of which depends on the level of the recording: over the frames of speech, the voiced
        ones, and the changes from first to last frame of speech.
    """
    of = speech_frames(wave)
    first, last = np.flatnonzero(of.speech)[[0, -1]]
    inside = slice(first, last + 1)
    level = of.energy[:, None]
    everything = np.concatenate([of.mel, of.cepstrum, of.quality, level], axis=1)
    voiced = np.concatenate([of.mel, of.quality], axis=1)[of.voiced]
    pitch = of.pitch[of.voiced]
    steps = np.diff(pitch)
    steps = steps[np.abs(steps) < 4]  # semitones: a larger one is a gap, or another octave
    parts = [
        _spread(everything[of.speech]), _changes(everything[inside]), _spread(voiced), _spread(pitch[:, None]),
        _few(np.abs(steps)), _few(steps), _thirds(pitch), _thirds(of.energy[inside]),
        _timing(of.voiced[inside], of.speech[inside], of.energy[inside]),
        np.array([len(wave) / RATE, first * HOP / RATE]),
    ]  # fmt: skip
    return np.concatenate([np.ravel(part) for part in parts])


def _spread(values: np.ndarray) -> np.ndarray:
    """Return mean, deviation, percentiles, range, slope over time, skewness, kurtosis: ``(T, D)`` -> ``(11, D)``."""
    if len(values) < 4:
        return np.zeros((11, values.shape[1]))
    percentiles = np.quantile(values, [0.05, 0.2, 0.5, 0.8, 0.95], axis=0)
    mean, deviation = values.mean(0), values.std(0)
    time = np.linspace(-1, 1, len(values))[:, None]
    apart = values - mean
    shape = apart / np.where(deviation > 1e-9, deviation, 1)
    slope = (apart * time).sum(0) / (time**2).sum()
    range_ = percentiles[4] - percentiles[0]
    return np.stack([mean, deviation, *percentiles, range_, slope, (shape**3).mean(0), (shape**4).mean(0)])


def _changes(values: np.ndarray) -> np.ndarray:
    """Return what the changes over four steps of time are like: ``(T, D)`` -> ``(5, D)``."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    weights = zip((-0.2, -0.1, 0.1, 0.2), (0, 1, 3, 4), strict=True)
    change = np.sum([weight * padded[at : at + len(values)] for weight, at in weights], axis=0)
    return np.stack([change.mean(0), change.std(0), np.abs(change).mean(0), *np.quantile(change, [0.05, 0.95], axis=0)])


def _few(values: np.ndarray) -> np.ndarray:
    """Return mean, deviation and two percentiles of ``(n,)`` numbers, zeros of none."""
    if not len(values):
        return np.zeros(4)
    return np.array([values.mean(), values.std(), *np.quantile(values, [0.1, 0.9])])


def _thirds(values: np.ndarray) -> np.ndarray:
    """Return the means of the beginning, the middle and the end of ``(n,)`` numbers, zeros of fewer than three."""
    return np.array([part.mean() for part in np.array_split(values, 3)]) if len(values) > 2 else np.zeros(3)


def _timing(voiced: np.ndarray, speech: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return shares, lengths and rates of stretches from the first to the last frame of speech, ``(n,)`` each."""
    seconds = len(voiced) * HOP / RATE
    own, gaps = _runs(voiced), _runs(~voiced)
    smooth = np.convolve(np.pad(energy, SMOOTHED // 2, mode="edge"), np.full(SMOOTHED, 1 / SMOOTHED), "valid")
    return np.array(
        [
            seconds, voiced.mean(), speech.mean(), len(own) / seconds, _rises(smooth) / seconds,
            *(fold(of) if len(of) else 0 for of in (own, gaps) for fold in (np.mean, np.std)),
        ]
    )  # fmt: skip


def _runs(mask: np.ndarray) -> np.ndarray:
    """Return how many steps every stretch of a mask has."""
    edges = np.diff(mask.astype(int), prepend=0, append=0)
    return np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)


def _rises(values: np.ndarray) -> int:
    """Count how often numbers rise by `RISE` from the least since they last fell by as much."""
    count, rising, low, high = 0, False, values[0], values[0]
    for value in values.tolist():
        low, high = min(low, value), max(high, value)
        if not rising and value > low + RISE:
            count, rising, high = count + 1, True, value
        elif rising and value < high - RISE:
            rising, low = False, value
    return count
