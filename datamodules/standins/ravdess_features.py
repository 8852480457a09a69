"""Stand-in for the RAVDESS features computed elsewhere: the same two files, in different order, with other id prefixes.

A clip's emotion sets one of five looks and one of five sounds as in the drawn RAVDESS clips (the table is in
`datamodules.standins.ravdess`), so that action units or MFCCs alone cannot pass 62.5 % while the pair can reach 100 %.
Action units and MFCCs of an actor share an offset of that actor; a clip depends on the seed and its name alone.

Files: ``au_mfcc.npz`` (names, au ``(N, 35)``, mfcc ``(N, 259)``, emotion from 0, actor), ``mfcc_44k.npz`` (clip_id,
mfcc ``(N, 13, 212)``) and ``SYNTHETIC`` (who made it, seed, clips).
"""

import io
from functools import partial

import numpy as np

from datamodules.standins._ravdess_trials import CLIPS, LOOKS, SOUNDS, cues, plan
from datamodules.standins._stand_in import Part, StandIn

VERSION = 1  # raise it when the bytes change
FILES = ("au_mfcc.npz", "mfcc_44k.npz")
UNITS, SUMMARY, COEFFICIENTS, FRAMES = 35, 259, 13, 212
ROOM = np.array([-420.0, 60.0, *[0.0] * 11])[:, None]  # coefficients of a quiet room: level and tilt


def make_clip(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the features of one clip from its RAVDESS name: ``(35,)`` action units and ``(13, 212)`` MFCCs."""
    actor, look, sound, strength = cues(name)  # strength of what differs from flat and plain
    patterns = np.random.default_rng([VERSION, seed, 0])
    looks = dict(zip(LOOKS, patterns.uniform(-1, 2, (len(LOOKS), UNITS)), strict=True))
    levels = dict(zip(SOUNDS, patterns.normal(0, 25, (len(SOUNDS), COEFFICIENTS)), strict=True))
    rates = dict(zip(SOUNDS, (2, 3, 4, 6, 8), strict=True))  # syllables in the clip
    person = np.random.default_rng([VERSION, seed, 1, actor])
    face, voice = person.normal(0, 0.2, UNITS), person.normal(0, 8, COEFFICIENTS)
    rng = np.random.default_rng([VERSION, seed, 2, *map(int, name.split("-"))])
    units = np.clip(looks["flat"] + strength * (looks[look] - looks["flat"]) + face + rng.normal(0, 0.3, UNITS), 0, 5)
    time = np.linspace(0, 2 * np.pi, FRAMES)
    syllables = np.sin(rates[sound] * time + rng.uniform(0, 2 * np.pi))
    level = levels["plain"] + strength * (levels[sound] - levels["plain"]) + voice
    cepstrum = ROOM + level[:, None] * (1 + 0.5 * syllables)
    return units.astype(np.float32), (cepstrum + rng.normal(0, 12, cepstrum.shape)).astype(np.float32)


def feature_files(clips: int, seed: int) -> tuple[bytes, bytes]:
    """Make the two `FILES`."""
    names = np.array(sorted(plan(clips, seed)))
    units, cepstra = (np.stack(arrays) for arrays in zip(*(make_clip(name, seed) for name in names), strict=True))
    fields = np.array([[int(field) for field in name.split("-")] for name in names])
    order = np.lexsort((fields[:, 6], *fields[:, 5:1:-1].T))  # by emotion, the actor last: the real file's order
    summary = np.random.default_rng([VERSION, seed, 3]).normal(0, 1, (clips, SUMMARY)).astype(np.float32)
    content = {"names": names, "au": units, "mfcc": summary, "emotion": fields[:, 2] - 1, "actor": fields[:, 6]}
    by_actor = np.lexsort((*fields[:, 5:1:-1].T, fields[:, 6]))
    audio = np.array([f"03{name[2:]}" for name in names])
    return (
        _npz({name: values[order] for name, values in content.items()}),
        _npz({"mfcc": cepstra[by_actor], "clip_id": audio[by_actor]}),
    )


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


CORPUS = StandIn(
    "ravdess_features", VERSION, "trials", (CLIPS, 1, CLIPS),
    lambda clips, seed: [Part(FILES, partial(feature_files, clips, seed))],
    f"Invented action units and MFCCs under RAVDESS names: {CLIPS} trials, or --clips of them.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
