"""The trials of RAVDESS as its stand-ins draw them: which there are, and how an emotion looks and sounds."""

import itertools

import numpy as np

from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Expression
from datamodules.standins._drawing.voice import Manner

VERSION = 1  # raise it when the bytes of a clip change
ACTORS, CLIPS = 24, 1440

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
