r"""Stand-in for the RAVDESS speech clips, in their own raw format: drawn faces, voice-like sound, OpenFace tables.

A clip's emotion sets one of five looks and one of five sounds. Some emotions share a look and others share a sound,
but no two share both (`SIGNAL`):

    ============= ======== ========= ========= ============= ===========
    look \ sound  plain    soft      bright    hard          trembling
    ============= ======== ========= ========= ============= ===========
    flat          neutral  calm
    smile                            happy
    sorrow                 sad
    scowl         disgust                      angry
    wide                             surprised               fearful
    ============= ======== ========= ========= ============= ===========

So with every emotion equally frequent video alone cannot pass 5/8 = 62.5 %, nor can audio alone, while the pair can
reach 100 %. The rest is drawn independently of the emotion: length, head movement, lips (they move while the voice
sounds, at a pace of their own, or the tempo could be read off the face). Actors differ in features, colours, habitual
expression, pitch and vocal tract; intensity 02 exaggerates. A clip depends on the seed and its name alone.

Files: ``Actor_XX/01-01-EE-II-SS-RR-AA.mp4`` (mpeg4 + aac, 320 x 180, 15 frames per second, 3 to 4 s, 48 kHz stereo),
``landmarks/<name>.csv`` (712 columns, a row per frame) and ``SYNTHETIC`` (who made it, seed, clips).
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Expression, landmarks, make_person, paint, place, sway
from datamodules.standins._drawing.movie import mp4
from datamodules.standins._drawing.openface import openface_table
from datamodules.standins._drawing.voice import Manner, make_speaker, record, speak
from datamodules.standins._ravdess_trials import ACTORS, CLIPS, LOOKS, SOUNDS, VERSION, VOICE_NOISE, cues, plan
from datamodules.standins._stand_in import Part, StandIn

SIZE, FPS, RATE = (320, 180), 15, 48_000
FACE_NOISE = np.array(Expression(curve=0.02, width=0.015, gape=0.01, brow=0.02, slant=0.02, eye=0.09))


def make_clip(name: str, seed: int) -> tuple[bytes, bytes]:
    """Make one clip from its RAVDESS name: the mp4 file and its landmark table."""
    actor, look, sound, strength = cues(name)
    rng = rng_of(VERSION, seed, name)
    frames = int(rng.integers(3 * FPS, 4 * FPS + 1))
    span = (rng.uniform(0.3, 0.5), frames / FPS - rng.uniform(0.25, 0.5))

    speaker = make_speaker(rng_of(VERSION, seed, "voice", actor), female=actor % 2 == 0)
    plain = np.array(SOUNDS["plain"])
    manner = plain + strength * (np.array(SOUNDS[sound]) - plain) + VOICE_NOISE * rng.standard_normal(8)
    stereo = record(speak(speaker, Manner(*manner.tolist()), frames / FPS, span, RATE, rng), rng)

    person = make_person(rng_of(VERSION, seed, "face", actor), long_hair=actor % 2 == 0)
    expression = strength * np.array(LOOKS[look]) + FACE_NOISE * rng.standard_normal(6)
    now = np.arange(frames) / FPS
    points = landmarks(person, _movement(expression, now, span, rng))
    pose = sway(now, rng, (SIZE[0] / 2, 14, 7), (89, 5, 3), unit=(47, 54), turns=(0.07, 0.15), hertz=(0.15, 0.5))
    light = rng.uniform(0.88, 1.1)
    pictures = (paint(person, shape, at, SIZE, light) for shape, at in zip(points, pose, strict=True))
    return mp4(pictures, FPS, stereo, RATE), openface_table(place(points, pose), FPS)


def _movement(
    expression: NDArray[np.float64], now: NDArray[np.float64], span: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the expressions of a face that sets in, speaks and blinks, ``(T, 6)``."""
    onset = 0.5 + 0.5 * np.clip(now / rng.uniform(0.4, 0.8), 0, 1)
    face = onset[:, None] * expression
    begin, end = span
    chatter = np.abs(np.sin(np.pi * (rng.uniform(3.2, 4.2) * now + rng.uniform())))
    face[:, Expression._fields.index("gape")] += 0.1 * chatter * ((now >= begin) & (now <= end))
    blink = rng.uniform(0, len(now) / FPS)
    face[np.abs(now - blink) < 0.08, Expression._fields.index("eye")] = -0.95
    return face


def _parts(clips: int, seed: int) -> Iterator[Part]:
    for name in plan(clips, seed):
        files = f"Actor_{name[-2:]}/{name}.mp4", f"landmarks/{name}.csv"
        yield Part(files, partial(make_clip, name, seed), clip=True)


CORPUS = StandIn(
    "ravdess", VERSION, "clips", (CLIPS, 1, CLIPS), _parts,
    f"Drawn faces and voice-like sound under RAVDESS names: {CLIPS} clips of {ACTORS} actors, or --clips of them. "
    "Some emotions look alike and others sound alike, so that only the pair tells all eight apart.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
