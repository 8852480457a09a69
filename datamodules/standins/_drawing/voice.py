"""Voice-like sound for stand-in corpora: a pulse train and breath through moving formants.

No words, but what carries emotion in a voice: pitch and its contour, loudness, tempo, spectral tilt, breathiness and
tremor.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONTROL = 200  # Hz: rate of the slow curves (pitch, loudness), interpolated to samples
WINDOW = 1024  # samples of a filter frame; half of it is the hop
VOWELS = np.array([[700, 1220, 2600], [390, 2000, 2800], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]])  # Hz


class Manner(NamedTuple):
    """Manner of speaking, relative to the speaker's usual one."""

    pitch: float = 0.0  # semitones above the usual
    slope: float = 0.0  # semitones gained over the utterance
    swing: float = 0.0  # semitones of accent on each stressed syllable
    tempo: float = 3.6  # syllables per second
    level: float = -10.0  # dB against a loud voice
    tilt: float = -10.0  # dB per octave of the source
    breath: float = 0.1  # share of noise in the source
    tremor: float = 0.0  # semitones of shaking at about 6 Hz


class Speaker(NamedTuple):
    """One voice."""

    pitch: float  # usual pitch in Hz
    tract: float  # formants relative to an adult male's
    habit: Manner  # added to every manner


def make_speaker(rng: np.random.Generator, female: bool) -> Speaker:
    """Draw a voice: pitch, vocal tract and habits vary between speakers."""
    pitch = (205.0 if female else 115.0) * 2 ** (rng.normal(0, 1.3) / 12)
    habit = Manner(*(rng.normal(0, 1, 8) * (0, 0.5, 0.3, 0.2, 1.5, 0.8, 0.02, 0)).tolist())
    return Speaker(pitch, (1.14 if female else 1.0) * rng.uniform(0.95, 1.05), habit)


def speak(
    speaker: Speaker, manner: Manner, seconds: float, span: tuple[float, float], rate: int, rng: np.random.Generator
) -> Array:
    """Return an utterance as mono sound within -1..1, ``(seconds * rate,)``.

    Speech lasts over a ``span`` of it, begin and end in seconds; ``rng`` draws the vowels, the stress and the noise.
    """
    manner = Manner(*(own + habit for own, habit in zip(manner, speaker.habit, strict=True)))
    samples = round(seconds * rate)
    time, clock = np.arange(samples) / rate, np.arange(round(seconds * CONTROL) + 1) / CONTROL
    begin, end = span
    count = max(2, round((end - begin) * max(manner.tempo, 1.0)))
    edges = np.linspace(begin, end, count + 1)
    edges[1:-1] += rng.uniform(-0.12, 0.12, count - 1) * (end - begin) / count
    syllable = np.clip(np.searchsorted(edges, clock, side="right") - 1, 0, count - 1)
    phase = np.clip((clock - edges[syllable]) / np.diff(edges)[syllable], 0, 1)
    stress = rng.uniform(0.6, 1.0, count)
    spoken = (clock >= begin) & (clock <= end)
    envelope = spoken * stress[syllable] * (0.12 + 0.88 * np.sin(np.pi * phase) ** 1.5)

    done = np.clip((clock - begin) / (end - begin), 0, 1)
    semitones = manner.pitch + manner.slope * (done - 0.5) + manner.swing * (stress[syllable] - 0.7) * 3
    semitones += manner.tremor * np.sin(2 * np.pi * (6.2 * clock + rng.uniform())) + rng.normal(0, 0.08, len(clock))
    pitch = np.interp(time, clock, speaker.pitch * 2 ** (semitones / 12))

    cycles = np.cumsum(pitch) / rate
    beats = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    late = (cycles[beats + 1] % 1) * rate / pitch[beats + 1]  # each pulse is split over two samples
    source = np.zeros(samples)
    source[beats] += late
    source[beats + 1] += 1 - late
    source *= np.sqrt(rate / pitch)  # the same energy at any pitch
    breath = np.clip(manner.breath, 0, 1)
    source = (1 - breath) * source + breath * rng.standard_normal(samples)
    source *= np.interp(time, clock, envelope)

    vowels = VOWELS[rng.integers(len(VOWELS), size=count)] * speaker.tract
    sound = _filter(source, edges[:-1] + np.diff(edges) / 2, vowels, manner.tilt, rate)
    voiced = sound[int(begin * rate) : int(end * rate)]
    sound *= 0.11 * 10 ** (manner.level / 20) / np.sqrt(np.mean(voiced**2))
    return np.clip(sound, -1, 1)


def record(voice: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a voice as a stereo microphone records it in a room, ``(2, N)`` within -1..1."""
    noise = 10 ** rng.uniform(-3.3, -2.9) * rng.standard_normal((2, len(voice)))
    return np.clip(voice + noise, -1, 1).astype(np.float32)


def _filter(source: Array, centres: Array, vowels: Array, tilt: float, rate: int) -> Array:
    """Shape the spectrum frame by frame: a tilt, and a peak at each formant of the current vowel."""
    hop = WINDOW // 2
    padded = np.pad(source, (hop, WINDOW + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop]
    window = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    now = (np.arange(len(frames)) * hop) / rate
    formants = np.stack([np.interp(now, centres, vowels[:, i]) for i in range(3)], axis=-1)  # (frames, 3)

    hertz = np.fft.rfftfreq(WINDOW, 1 / rate)
    gain = np.full((len(frames), len(hertz)), 0.05)
    for i, (height, width) in enumerate([(1.0, 90.0), (0.6, 130.0), (0.35, 200.0)]):
        gain += height / (1 + ((hertz - formants[:, i : i + 1]) / width) ** 2)
    gain *= 10 ** (tilt * np.log2(np.maximum(hertz, 80) / 80) / 20)
    shaped = np.fft.irfft(np.fft.rfft(frames * window) * gain, n=WINDOW) * window
    out = np.zeros(len(padded))
    for parity in (0, 1):  # every other frame tiles the signal without overlap
        tiles = shaped[parity::2].reshape(-1)
        out[parity * hop : parity * hop + len(tiles)] += tiles
    return out[hop : hop + len(source)]
