"""Stand-in for CREMA-D in its own raw format: the voices of the stand-in of RAVDESS, other people in another room.

``AudioWAV/1001_IEO_ANG_HI.wav`` (16 kHz, mono, 2 to 3 s), sounds alone. Neutral and disgust sound alike. A clip depends
on the seed and its name alone.
"""

import io
import itertools
import wave
from collections.abc import Iterator
from functools import partial

import numpy as np

from datamodules.catalogues.crema_d import EMOTIONS, SENTENCES
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.voice import Manner, make_speaker, record, speak
from datamodules.standins._ravdess_trials import SOUNDS, VOICE_NOISE
from datamodules.standins._stand_in import Part, StandIn

VERSION = 1  # raise it when the bytes of a clip change
ACTORS, CLIPS, RATE = 20, 480, 16_000
SIGNAL = {"ANG": "hard", "DIS": "plain", "FEA": "trembling", "HAP": "bright", "NEU": "plain", "SAD": "soft"}
STRENGTH = {"LO": 0.8, "MD": 1.0, "HI": 1.2, "XX": 1.0}


def plan(clips: int) -> list[str]:
    """Return names without suffix: rounds of one clip of every actor and emotion, each of another sentence."""
    names = []
    for turn, shift, actor in itertools.product(range(len(SENTENCES)), range(len(EMOTIONS)), range(ACTORS)):
        emotion = list(EMOTIONS)[(actor + shift) % len(EMOTIONS)]
        sentence = SENTENCES[(turn + actor + shift) % len(SENTENCES)]
        level = list(STRENGTH)[actor % 3] if sentence == "IEO" and emotion != "NEU" else "XX"
        names.append(f"{1001 + actor}_{sentence}_{emotion}_{level}")
    return names[:clips]


def make_clip(name: str, seed: int) -> bytes:
    """Make one clip from its CREMA-D name: the bytes of a WAV file."""
    actor, _, emotion, level = name.split("_")
    rng, seconds = rng_of(VERSION, seed, name), 2.0
    seconds += float(rng.uniform(0, 1))
    speaker = make_speaker(rng_of(VERSION, seed, "voice", actor), female=int(actor) % 2 == 0)
    plain = np.array(SOUNDS["plain"])
    manner = (
        plain + STRENGTH[level] * (np.array(SOUNDS[SIGNAL[emotion]]) - plain) + VOICE_NOISE * rng.standard_normal(8)
    )
    voice = speak(speaker, Manner(*manner.tolist()), seconds, (0.2, seconds - 0.2), RATE, rng)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes((32767 * record(voice, rng)[0]).astype("<i2").tobytes())
    return file.getvalue()


def _parts(clips: int, seed: int) -> Iterator[Part]:
    for name in plan(clips):
        yield Part((f"AudioWAV/{name}.wav",), partial(make_clip, name, seed), clip=True)


CORPUS = StandIn(
    "crema_d", VERSION, "clips", (CLIPS, 1, ACTORS * len(EMOTIONS) * len(SENTENCES)), _parts,
    f"Voice-like sound under CREMA-D names: {CLIPS} clips of {ACTORS} actors, or --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
