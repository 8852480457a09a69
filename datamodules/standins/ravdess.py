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

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datamodules.standins._drawing.face import Expression, landmarks, make_person, paint, place, sway
from datamodules.standins._drawing.movie import mp4
from datamodules.standins._drawing.openface import openface_table
from datamodules.standins._drawing.voice import Manner, make_speaker, record, speak
from datamodules.standins._stand_in import Part, StandIn, rng_of

VERSION = 1  # raise it when the bytes of a clip change
ACTORS, CLIPS = 24, 1440
SIZE, FPS, RATE = (320, 180), 15, 48_000

SIGNAL = {  # emotion: look, sound
    "neutral": ("flat", "plain"),
    "calm": ("flat", "soft"),
    "happy": ("smile", "bright"),
    "sad": ("sorrow", "soft"),
    "angry": ("scowl", "hard"),
    "fearful": ("wide", "trembling"),
    "disgust": ("scowl", "plain"),
    "surprised": ("wide", "bright"),
}
LOOKS = {
    "flat": Expression(),
    "smile": Expression(curve=0.10, width=0.05, gape=0.03, eye=-0.15),
    "sorrow": Expression(curve=-0.08, width=-0.02, brow=0.02, slant=0.12, eye=-0.25),
    "scowl": Expression(curve=-0.04, width=-0.04, brow=-0.06, slant=-0.12, eye=-0.25),
    "wide": Expression(width=-0.06, gape=0.16, brow=0.12, slant=0.03, eye=0.55),
}
SOUNDS = {
    "plain": Manner(),
    "soft": Manner(pitch=-2, slope=-3, tempo=2.6, level=-17, tilt=-14, breath=0.4),
    "bright": Manner(pitch=6, slope=3, swing=1.5, tempo=4.4, level=-5, tilt=-8),
    "hard": Manner(pitch=3, slope=-2, swing=0.7, tempo=5.5, level=0, tilt=-5),
    "trembling": Manner(pitch=7, tempo=5.0, level=-12, tilt=-10, breath=0.3, tremor=1.2),
}
STRENGTH = {1: 0.8, 2: 1.2}  # share of the look and sound shown at RAVDESS' two intensities
FACE_NOISE = np.array(Expression(curve=0.02, width=0.015, gape=0.01, brow=0.02, slant=0.02, eye=0.09))
VOICE_NOISE = np.array(Manner(pitch=1.0, slope=0.7, swing=0.2, tempo=0.3, level=2.0, tilt=0.9, breath=0.03, tremor=0.1))


def plan(clips: int, seed: int) -> list[str]:
    """Choose clips: names without suffix, spread evenly over actors and emotions.

    Rounds take one clip of every actor and emotion, in an order where each run of 24 meets every actor and each run of
    192 every pair; which intensity, statement and repetition comes first is drawn. A smaller plan is the head of a
    larger one.
    """
    rng = rng_of(VERSION, seed, "plan")
    variants = {}
    for actor, emotion in itertools.product(range(1, ACTORS + 1), range(1, len(SIGNAL) + 1)):
        intensities = (1,) if emotion == 1 else (1, 2)  # RAVDESS has no strong neutral
        names = [
            f"01-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}"
            for intensity, statement, repetition in itertools.product(intensities, (1, 2), (1, 2))
        ]
        variants[actor, emotion] = [names[i] for i in rng.permutation(len(names))]
    emotions = (rng.permutation(len(SIGNAL)) + 1).tolist()
    cells = [(a, emotions[(a + shift) % len(SIGNAL)]) for shift in range(len(SIGNAL)) for a in range(1, ACTORS + 1)]
    names = [variants[cell][turn] for turn in range(8) for cell in cells if turn < len(variants[cell])]
    return names[:clips]


def cues(name: str) -> tuple[int, str, str, float]:
    """Return actor, look, sound and their strength by the RAVDESS name of a clip."""
    _, _, emotion, intensity, _, _, actor = map(int, name.split("-"))
    return actor, *list(SIGNAL.values())[emotion - 1], STRENGTH[intensity]


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
