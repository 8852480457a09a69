"""Mel spectrograms of equal segments of a clip, in numpy.

EmotiW 2023's authors do not publish their parameters, only that there are as many spectrograms as segments and that
their network needs at least 106 pixels both ways. These are ours: 16 kHz mono, frames of 1024 samples around evenly
spaced instants of the segment, Slaney mel bands, dB down to 80 below the clip's loudest, standardised per clip.
"""

import numpy as np

from datamodules.media.mfcc import mel_filters

RATE, FFT, RANGE = 16_000, 1024, 80.0  # Hz, samples, dB


def spectrograms(wave: np.ndarray, segments: int, size: int = 128) -> np.ndarray:
    """Return spectrograms of the equal segments of a clip.

    With five segments of a second and 128 steps the hop is 125 samples. A frame at the edge of a segment reaches into
    the next one; beyond the clip there are zeros.

    Args:
        wave: int16 ``(n,)`` at 16 kHz.
        segments: Number of them, S.
        size: Mel bands, and instants per segment.

    Returns:
        float32 ``(S, 1, size, size)``: bands from low to high, then time; mean 0 and deviation 1 over the clip, zeros
        for silence.
    """
    steps = segments * size
    middles = np.floor((np.arange(steps) + 0.5) * len(wave) / steps).astype(np.int64)
    padded = np.pad(wave / 32768, FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    bands = np.empty((segments, size, size))
    filters = mel_filters(RATE, FFT, size)
    for segment in range(segments):  # one at a time: 75 segments at once are 150 MB
        spectrum = np.fft.rfft(frames[middles[segment * size : (segment + 1) * size]] * window)
        power = np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2).T)
        for band, (first, weights) in enumerate(filters):
            bands[segment, band] = (power[first : first + len(weights)] * weights[:, None]).sum(axis=0)
    decibel = 10 * np.log10(bands.clip(1e-10))
    decibel = decibel.clip(decibel.max() - RANGE)
    deviation = decibel.std()
    if deviation < 1e-6:
        return np.zeros((segments, 1, size, size), np.float32)
    return np.asarray((decibel - decibel.mean()) / deviation, dtype=np.float32)[:, None]
