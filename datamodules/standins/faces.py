"""Stand-in for three of the emotion corpora, in their own raw formats: drawn faces whose expression follows the label.

A picture's category sets a look (`LOOKS`), its intensity how much of it is shown; valence and arousal are the
category's (`AFFECT`) times the intensity. Everything else is drawn independently: who it is, pose, light.

- ``affectnet``: half of the pictures, all eight categories with valence and arousal, every picture another person;
  ``training.csv``, ``validation.csv``, ``Manually_Annotated_Images/``, 96 x 96 with the box of the face.
- ``raf_db``: three tenths, seven categories, every picture another person; ``EmoLabel/list_patition_label.txt``,
  ``Image/aligned/``, 72 x 72 faces.
- ``afew_va``: two tenths, valence and arousal of -10..10 alone, clips of three frames, two clips an actor;
  ``NNN/NNN.json`` with landmarks, ``NNN/00000.png``, 96 x 96.

``SYNTHETIC`` says who made it. A picture depends on the seed and its name alone.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from datamodules.catalogues.faces import affectnet
from datamodules.catalogues.faces import raf_db as raf
from datamodules.catalogues.faces.corpus import CATEGORIES
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Array, Expression, Person, landmarks, make_person, paint, place
from datamodules.standins._drawing.movie import picture_file
from datamodules.standins._stand_in import Part, StandIn, table

VERSION = 1  # raise it when the bytes of a picture change
CORPORA = ("affectnet", "raf_db", "afew_va")
CLIPS, LEAST, MOST = 1200, 120, 100_000  # fewer would leave a split without a category

RAF_DB = {name: int(code) for code, name in raf.EMOTIONS.items()}
LOOKS = {
    "neutral": Expression(),
    "happy": Expression(curve=0.13, width=0.07, gape=0.05, eye=-0.2),
    "sad": Expression(curve=-0.11, width=-0.03, brow=0.03, slant=0.15, eye=-0.35),
    "surprise": Expression(width=-0.07, gape=0.24, brow=0.15, eye=0.6),
    "fear": Expression(curve=-0.07, width=0.06, gape=0.08, brow=0.10, slant=0.16, eye=0.7),
    "disgust": Expression(curve=-0.05, width=-0.06, brow=-0.04, slant=0.02, eye=-0.75),
    "anger": Expression(curve=-0.05, width=0.05, gape=0.03, brow=-0.09, slant=-0.17, eye=0.15),
    "contempt": Expression(curve=0.06, width=-0.07, brow=0.09, slant=-0.10, eye=-0.5),
}
AFFECT = {  # valence, arousal at full intensity
    "neutral": (0.0, 0.0),
    "happy": (0.8, 0.4),
    "sad": (-0.7, -0.5),
    "surprise": (0.2, 0.8),
    "fear": (-0.5, 0.8),
    "disgust": (-0.7, 0.2),
    "anger": (-0.6, 0.6),
    "contempt": (-0.4, -0.1),
}
NOISE = np.array(Expression(curve=0.015, width=0.012, gape=0.01, brow=0.015, slant=0.015, eye=0.06))
FRAMES = 3  # of an AFEW-VA clip


class Shot(NamedTuple):
    """One face before it is painted."""

    person: Person
    points: Array  # landmarks in face units, (68, 2)
    pose: Array  # as in `place`, (5,)
    size: int  # side of the picture in pixels
    light: float  # brightness

    def file(self, suffix: str) -> bytes:
        """Return the picture in the format of a suffix."""
        return picture_file(paint(self.person, self.points, self.pose, (self.size, self.size), self.light), suffix)

    def pixels(self) -> Array:
        """Return the landmarks in pixels, ``(68, 2)``."""
        return np.asarray(place(self.points[None], self.pose[None])[0])


def shoot(category: str, strength: float, seed: int, name: str, size: int, person: str = "") -> Shot:
    """Return a face of ``size`` pixels, of a new person where none is named.

    A strength of 1 shows the look as it stands in `LOOKS`.
    """
    who, rng = rng_of(VERSION, "faces", seed, "person", person or name), rng_of(VERSION, "faces", seed, "picture", name)
    someone = make_person(who)
    face = strength * np.array(LOOKS[category]) + NOISE * rng.standard_normal(6)
    middle = size * rng.uniform(0.47, 0.53), size * rng.uniform(0.46, 0.52)
    pose = np.array([*middle, size * rng.uniform(0.36, 0.42), rng.normal(0, 0.05), rng.normal(0, 0.10)])
    return Shot(someone, landmarks(someone, face[None])[0], pose, size, rng.uniform(0.85, 1.1))


def _picture(path: str, shot: Shot) -> Part:
    return Part((path,), partial(shot.file, path[-4:]), clip=True)


def _affect(category: str, strength: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the valence and arousal of a picture, with the noise of an annotator."""
    valence, arousal = np.clip(strength * np.array(AFFECT[category]) + rng.normal(0, 0.03, 2), -1, 1).tolist()
    return round(valence, 6), round(arousal, 6)


def _head(points: Array) -> tuple[int, int, int, int]:
    """Return the box of a face detector: the landmarks and the forehead above them."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    top -= 0.35 * (bottom - top)
    left, top, right, bottom = (int(side) for side in np.clip([left, top, right, bottom], 0, 95).round())
    return left, top, right, bottom


def _affectnet(count: int, seed: int) -> Iterator[Part]:
    """Yield pictures and tables."""
    rows: dict[str, list[str]] = {"training": [], "validation": []}
    for i in range(count):
        rng = rng_of(VERSION, "faces", seed, "affectnet", i)
        category, strength = CATEGORIES[i % len(CATEGORIES)], rng.uniform(0.8, 1.25)
        key = hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()[:56]
        name = f"{i % 100 + 1}/{key}.jpg"
        shot = shoot(category, strength, seed, f"affectnet/{i}", 96)
        yield _picture(f"affectnet/Manually_Annotated_Images/{name}", shot)
        left, top, right, bottom = _head(shot.pixels())
        flat = ";".join(f"{value:.2f}" for value in shot.pixels().ravel())
        split = "validation" if i // len(CATEGORIES) % 6 == 5 else "training"  # whole rounds: every category in both
        code = CATEGORIES.index(category)  # AffectNet's own, too
        row = [name, left, top, right - left, bottom - top, flat, code, *_affect(category, strength, rng)]
        rows[split].append(",".join(map(str, row)))
    for name, own in rows.items():
        yield Part((f"affectnet/{name}.csv",), table(",".join(affectnet.COLUMNS), own))


def _raf_db(count: int, seed: int) -> Iterator[Part]:
    """Yield pictures and the list of labels."""
    lines: dict[str, list[str]] = {"train": [], "test": []}
    names = list(RAF_DB)
    for i in range(count):
        category, strength = names[i % len(names)], rng_of(VERSION, "faces", seed, "raf_db", i).uniform(0.8, 1.25)
        split = "test" if i // len(names) % 4 == 3 else "train"
        stem = f"{split}_{len(lines[split]) + 1:05d}"
        shot = shoot(category, strength, seed, f"raf_db/{i}", 72)
        yield _picture(f"raf_db/Image/aligned/{stem}_aligned.jpg", shot)
        lines[split].append(f"{stem}.jpg {RAF_DB[category]}\n")
    yield Part(("raf_db/EmoLabel/list_patition_label.txt",), "".join(lines["train"] + lines["test"]))


def _afew_va(count: int, seed: int) -> Iterator[Part]:
    """Yield pictures and a file of labels a clip."""
    for clip in range(count // FRAMES):
        name, rng = f"{clip + 1:03d}", rng_of(VERSION, "faces", seed, "afew_va", clip)
        category, actor = CATEGORIES[int(rng.integers(len(CATEGORIES)))], f"Actor {clip // 2 + 1}"
        begin, end = rng.uniform(0.1, 1.25, 2)
        frames = {}
        for i in range(FRAMES):
            strength = float(begin + (end - begin) * i / (FRAMES - 1))
            shot = shoot(category, strength, seed, f"afew_va/{name}/{i}", 96, f"afew_va/{actor}")
            yield _picture(f"afew_va/{name}/{i:05d}.png", shot)
            valence, arousal = (round(10 * value) for value in _affect(category, strength, rng))
            frames[f"{i:05d}"] = {"landmarks": shot.pixels().round(2).tolist(), "valence": valence, "arousal": arousal}
        content = {"video_id": name, "actor": actor, "frames": frames}
        yield Part((f"afew_va/{name}/{name}.json",), json.dumps(content))


def _parts(clips: int, seed: int) -> Iterator[Part]:
    raf_db, afew_va = 3 * clips // 10, clips // 5 // FRAMES * FRAMES
    yield from _affectnet(clips - raf_db - afew_va, seed)
    yield from _raf_db(raf_db, seed)
    yield from _afew_va(afew_va, seed)


CORPUS = StandIn(
    "faces", VERSION, "pictures", (CLIPS, LEAST, MOST), _parts,
    f"Drawn faces in the formats of {', '.join(CORPORA)}: {CLIPS} pictures, or --clips of them, eight expressions, "
    "arousal and valence.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
