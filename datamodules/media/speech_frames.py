"""What stands in every frame of speech: level, pitch, spectrum and voice quality, in numpy.

The quantities are those of paralinguistics (the list of Eyben et al. 2016, https://doi.org/10.1109/TAFFC.2015.2457417,
without formants), written from their definitions; pitch is the autocorrelation method of Boersma 1993 without path
search. Levels count from that of the clip's own speech: how loud a recording is says nothing here.
"""

from dataclasses import dataclass

import numpy as np

from datamodules.media.mfcc import mel_filters

RATE, HOP, FFT = 16_000, 160, 512  # Hz, samples: a frame of 32 ms every 10 ms
BANDS, COEFFICIENTS = 26, 13
LOWEST, HIGHEST, PITCH_WINDOW = 60, 600, 640  # Hz, Hz, samples
VOICED = 0.5  # correlation of a frame with itself a period later, at least
RANGE = 30.0  # dB below the loud frames that are still speech
QUALITY = (
    "centroid", "spread", "rolloff", "flatness", "alpha", "hammarberg", "slope0", "slope500", "slope1500", "flux",
    "h1-h2", "harmonicity",
)  # fmt: skip
_QUIET = 1e-9  # beside the mean power of speech, which is 1
_FREQUENCIES = np.fft.rfftfreq(FFT, 1 / RATE)


@dataclass(frozen=True)
class SpeechFrames:
    """Descriptors of T frames.

    Attributes:
        speech: Which are speech, ``(T,)``.
        voiced: Which have a pitch, ``(T,)``.
        energy: Level in dB, ``(T,)``.
        pitch: Semitones above 27.5 Hz, ``(T,)``; of a voiced frame.
        mel: Mel bands in dB, ``(T, 26)``.
        cepstrum: Their cosine transform, ``(T, 13)``.
        quality: The `QUALITY` of the spectrum, ``(T, 12)``.
    """

    speech: np.ndarray
    voiced: np.ndarray
    energy: np.ndarray
    pitch: np.ndarray
    mel: np.ndarray
    cepstrum: np.ndarray
    quality: np.ndarray


def speech_frames(wave: np.ndarray) -> SpeechFrames:
    """Describe a wave.

    Args:
        wave: int16 ``(n,)`` at 16 kHz, not silent.
    """
    signal = wave / 32768
    spectrum = np.fft.rfft(_windows(signal, FFT) * _hann(FFT))
    power = spectrum.real**2 + spectrum.imag**2
    level = _decibel(power.sum(1), 1e-10)
    speech = level > np.percentile(level, 95) - RANGE
    loudness = power[speech].sum(1).mean()
    power = power / loudness
    filters = mel_filters(RATE, FFT, BANDS)
    mel = _decibel(np.stack([(power[:, first : first + len(w)] * w).sum(1) for first, w in filters], 1))
    frequency, correlation = _pitch(signal)
    order, band = np.arange(COEFFICIENTS)[:, None], np.arange(BANDS)
    cosines = np.cos(np.pi * order * (2 * band + 1) / (2 * BANDS)) * np.sqrt(2 / BANDS)
    return SpeechFrames(
        speech=speech,
        voiced=speech & (correlation > VOICED),
        energy=level - 10 * np.log10(loudness),
        pitch=12 * np.log2(frequency / 27.5),
        mel=mel,
        cepstrum=np.einsum("tb,cb->tc", mel, cosines, optimize=False),  # in a fixed order, as in `media.mfcc`
        quality=_quality(power, frequency, correlation),
    )


def _windows(signal: np.ndarray, size: int) -> np.ndarray:
    """Return frames ``(T, size)`` around every 10 ms, zeros beyond the ends."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(signal, size // 2), size)[::HOP]


def _hann(size: int) -> np.ndarray:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


def _decibel(power: np.ndarray, least: float = _QUIET) -> np.ndarray:
    return np.asarray(10 * np.log10(power + least))


def _pitch(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pitch in Hz and how far a frame equals itself a period later, 0 to 1, both ``(T,)``."""
    window, first, last = _hann(PITCH_WINDOW), RATE // HIGHEST, RATE // LOWEST

    def correlate(values: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(values, 2048)
        return np.asarray(np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[..., : last + 2])

    frames = _windows(signal, PITCH_WINDOW)
    own, of_window = correlate((frames - frames.mean(1, keepdims=True)) * window), correlate(window)
    found = own / own[:, :1].clip(1e-12) / (of_window / of_window[0])
    lags, inside = np.arange(first, last + 1), found[:, first : last + 1]
    peak = (inside >= found[:, first - 1 : last]) & (inside >= found[:, first + 1 :])
    wanted = np.where(peak, inside - 0.03 * np.log2(lags * LOWEST / RATE), -np.inf)  # of equals the higher pitch
    rows, best = np.arange(len(found)), wanted.argmax(1) + first
    before, at, after = (found[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.where(bend < -1e-9, bend, 1), 0).clip(-0.5, 0.5)
    return RATE / (best + shift), np.where(peak.any(1), at, 0).clip(0, 0.999)


def _quality(power: np.ndarray, pitch: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    share = power / (power.sum(1, keepdims=True) + 1e-12)
    centroid = (share * _FREQUENCIES).sum(1)
    spread = np.sqrt((share * (_FREQUENCIES - centroid[:, None]) ** 2).sum(1))
    rolloff = _FREQUENCIES[(share.cumsum(1) > 0.85).argmax(1)]
    flatness = np.log(power[:, 1:] + 1e-12).mean(1) - np.log(power[:, 1:].mean(1) + 1e-12)
    decibel = _decibel(power)

    def band(low: float, high: float) -> np.ndarray:
        return (low <= _FREQUENCIES) & (high > _FREQUENCIES)

    def slope(low: float, high: float) -> np.ndarray:
        inside = band(low, high)
        apart = _FREQUENCIES[inside] - _FREQUENCIES[inside].mean()
        return np.asarray((decibel[:, inside] * apart).sum(1) / (apart**2).sum())

    def harmonic(number: int) -> np.ndarray:
        place = np.rint(pitch * number * FFT / RATE).astype(int).clip(1, FFT // 2 - 1)
        near = place[:, None] + np.array([-1, 0, 1])
        return np.asarray(np.take_along_axis(decibel, near, 1).max(1))

    low, high = power[:, band(50, 1000)].sum(1), power[:, band(1000, 5000)].sum(1)
    below, above = power[:, band(0, 2000)].max(1), power[:, band(2000, 5000)].max(1)
    change = np.sqrt((np.diff(share, axis=0, prepend=share[:1]) ** 2).sum(1))
    return np.stack(
        [
            *(np.log(values + 50) for values in (centroid, spread, rolloff)), flatness,
            _decibel(low) - _decibel(high), _decibel(below) - _decibel(above),
            slope(0, 500), slope(500, 1500), slope(1500, 5000), change, harmonic(1) - harmonic(2),
            _decibel(correlation / (1 - correlation), 1e-3),
        ],
        axis=1,
    )  # fmt: skip
