"""MFCC as librosa 0.11 computes them, in numpy, and the one bank of mel filters of what is stored.

Why not librosa itself: what is stored has a fingerprint, and must be the same to the byte wherever it is made. librosa
works in the wave's float32 and multiplies matrices in BLAS; most of its values change their last bits with the
processor's instructions, BLAS' kernel and its threads. Here everything is float64, sums run in a fixed order and never
through BLAS, and the result is rounded to float32 once (docs/mel_filters.md has the figures).
"""

from functools import lru_cache

import numpy as np

_FFT, _HOP, _MELS = 2048, 512, 128


def _hz(mel: np.ndarray) -> np.ndarray:
    """Return frequencies in Hz, by Slaney's scale: linear below 1 kHz (15 mel), then 27 steps per factor 6.4."""
    return np.asarray(np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27)))


@lru_cache(maxsize=4)
def mel_filters(rate: int, fft: int = _FFT, mels: int = _MELS) -> list[tuple[int, np.ndarray]]:
    """Return triangles on Slaney's mel scale, each of unit area.

    Args:
        rate: Sampling rate in Hz.
        fft: Samples of a frame.
        mels: Number of triangles.

    Returns:
        First bin and weights of every triangle.
    """
    nyquist = rate / 2
    top = 15 + 27 * np.log(nyquist / 1000) / np.log(6.4) if nyquist > 1000 else nyquist * 3 / 200
    edges = _hz(np.linspace(0, top, mels + 2))
    bins = np.fft.rfftfreq(fft, 1 / rate)
    filters = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        weights = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
        used = np.flatnonzero(weights)
        first, last = (used[0], used[-1] + 1) if used.size else (0, 0)
        filters.append((int(first), weights[first:last] * 2 / (high - low)))
    return filters


@lru_cache(maxsize=4)
def _cosines(count: int) -> np.ndarray:
    """Return the orthonormal DCT-II ``(count, mels)``."""
    order, mel = np.arange(count)[:, None], np.arange(_MELS)
    basis = np.cos(np.pi * order * (2 * mel + 1) / (2 * _MELS)) * np.sqrt(2 / _MELS)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)


def mfcc(wave: np.ndarray, rate: int, count: int = 13) -> np.ndarray:
    """Return mel-frequency cepstral coefficients, frames of 2048 samples every 512, 128 Slaney mel bands, 80 dB range.

    Args:
        wave: Float ``(n,)`` in -1 .. 1; padded with zeros so that frames are centred.
        rate: Sampling rate in Hz.
        count: Number of coefficients.

    Returns:
        float32 ``(count, 1 + n // 512)``.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)
    padded = np.pad(wave.astype(np.float64), _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    spectrum = np.fft.rfft(frames * window)
    power = np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2).T)
    mel = np.stack([(power[first : first + len(w)] * w[:, None]).sum(axis=0) for first, w in mel_filters(rate)])
    decibel = 10 * np.log10(mel.clip(1e-10))
    decibel = decibel.clip(decibel.max() - 80)
    coefficients = np.einsum("cm,mt->ct", _cosines(count), decibel, optimize=False)
    return np.asarray(coefficients, dtype=np.float32)
