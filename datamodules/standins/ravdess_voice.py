"""Stand-in for the RAVDESS features with their sound: the two files of ``ravdess_features`` and a drawn voice a trial.

Voices are drawn as those of the drawn RAVDESS clips (`datamodules.standins.ravdess`): what sounds alike there sounds
alike here. Files: ``au_mfcc.npz``, ``mfcc_44k.npz``, ``speech_16k/Actor_XX/03-....wav`` (16 kHz, mono, 1.5 s) and
``SYNTHETIC``.
"""

import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import soundfile

from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.voice import Manner, make_speaker, speak
from datamodules.standins._ravdess_trials import CLIPS, SOUNDS, VOICE_NOISE, cues, plan
from datamodules.standins._stand_in import Part, StandIn
from datamodules.standins.ravdess_features import FILES, feature_files

VERSION = 1  # raise it when the bytes change
RATE, SECONDS, SPAN = 16_000, 1.5, (0.1, 1.4)


def sound(name: str, seed: int) -> bytes:
    """Make the sound of one trial from its RAVDESS name: a wav file."""
    actor, _, manner, strength = cues(name)
    rng = rng_of(CORPUS.corpus, VERSION, seed, name)
    speaker = make_speaker(rng_of(CORPUS.corpus, VERSION, seed, "voice", actor), female=actor % 2 == 0)
    plain = np.array(SOUNDS["plain"])
    own = plain + strength * (np.array(SOUNDS[manner]) - plain) + VOICE_NOISE * rng.standard_normal(8)
    voice = speak(speaker, Manner(*own.tolist()), SECONDS, SPAN, RATE, rng)
    room = voice + 10**-3.1 * rng.standard_normal(len(voice))
    content = io.BytesIO()
    soundfile.write(content, room, RATE, format="WAV", subtype="PCM_16")
    return content.getvalue()


def _parts(clips: int, seed: int) -> Iterator[Part]:
    yield Part(FILES, partial(feature_files, clips, seed))
    for name in plan(clips, seed):
        yield Part((f"speech_16k/Actor_{name[-2:]}/03{name[2:]}.wav",), partial(sound, name, seed), clip=True)


CORPUS = StandIn(
    "ravdess_voice", VERSION, "trials", (CLIPS, 1, CLIPS), _parts,
    f"Invented action units and MFCCs, and drawn voices, under RAVDESS names: {CLIPS} trials, or --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
