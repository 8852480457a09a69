"""Drawn people who are more or less engaged: what the stand-ins of DAiSEE and NoXi share.

At every grid step (5 per second) three cues are drawn anew, each of them unsure:

    ========== ================== ================== =======================
    class      eyes closed        hands up           expression (per second)
    ========== ================== ================== =======================
    0          usually            seldom             more often sorrow
    1          seldom             seldom             more often flat
    2          seldom             usually            more often a smile
    ========== ================== ================== =======================

So the eyes separate only class 0 from the rest, the hands only class 2 from the rest, and the expression hints at all
three: only face and body together separate the classes, and a long window sees more draws than a short one. A film
depends on the seed and its name alone. ``boxes.csv`` has what a pose tool would give at every step, with some of it
not found, so that preparing needs no detector.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from datamodules.standins._drawing.body import JOINTS, body_joints, paint_body
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import (
    Array,
    Expression,
    Image,
    Person,
    landmarks,
    make_person,
    paint,
    place,
    sway,
)
from datamodules.standins._drawing.movie import mp4
from datamodules.standins._stand_in import Part, table

STEPS = 5  # per second: the grid of the preparation
SIZE, FPS = (128, 128), 10
USUAL, SELDOM = 0.8, 0.2  # chance of closed eyes, and of hands up, at a step
EYES = {True: -0.93, False: 0.45}  # lids apart: closed, open
LOOKS = (
    Expression(curve=-0.10, width=-0.02, slant=0.12),
    Expression(),
    Expression(curve=0.12, width=0.06, gape=0.03),
)
LOOK_CHANCE = np.array([[0.50, 0.30, 0.20], [0.25, 0.50, 0.25], [0.20, 0.30, 0.50]])  # of each look by class
FACE_NOISE = np.array(Expression(curve=0.015, width=0.01, gape=0.01, brow=0.015, slant=0.015, eye=0.05))
LOST_FACE, LOST_BODY = 0.03, 0.02  # share of the steps at which a pose tool finds nothing
SIDES = [f"{part}_{side}" for part in ("face", "body") for side in ("left", "top", "right", "bottom")]
HEADER = ["video", "time", *SIDES, *(f"j{joint}_{value}" for joint in range(JOINTS) for value in ("x", "y", "score"))]


class Film(NamedTuple):
    """One video to draw."""

    id: str  # what ``boxes.csv`` calls it
    file: str  # its path inside the corpus
    actor: str  # who it shows
    classes: tuple[int, ...]  # of every grid step


class Scene(NamedTuple):
    """Content of a film, frame by frame."""

    person: Person
    points: Array  # landmarks in face units, (F, 68, 2)
    pose: Array  # the head as in `place`, (F, 5)
    joints: Array  # pixels, (F, 17, 2)
    light: float


def act(film: Film, key: tuple[object, ...]) -> Scene:
    """Return a scene in which a person behaves as the film's classes ask, two frames per grid step.

    ``key`` is corpus, version and seed.
    """
    actor, rng = rng_of(*key, "actor", film.actor), rng_of(*key, film.id)
    person = make_person(actor)
    classes = np.array(film.classes)
    count = len(classes)
    closed = rng.random(count) < np.where(classes == 0, USUAL, SELDOM)
    up = rng.random(count) < np.where(classes == 2, USUAL, SELDOM)
    # One look a second, by the class at its beginning.
    seconds = classes[::STEPS]
    looks = (rng.random(len(seconds))[:, None] > LOOK_CHANCE[seconds].cumsum(1)[:, :2]).sum(1)
    face = np.array(LOOKS)[np.repeat(looks, STEPS)[:count]] + FACE_NOISE * rng.standard_normal((count, 6))
    face[:, Expression._fields.index("eye")] += np.where(closed, EYES[True], EYES[False])
    face = np.repeat(face, FPS // STEPS, axis=0)
    now = np.arange(len(face)) / FPS
    pose = sway(now, rng, (SIZE[0] / 2, 6, 3), (42, 3, 1.5), unit=(22, 25), turns=(0.05, 0.12), hertz=(0.1, 0.4))
    arms = np.array([(1, 1), (1, 0), (0, 1)])[rng.integers(3)]  # which hands this film raises
    raised = np.repeat(up[:, None] * arms, FPS // STEPS, axis=0) * rng.uniform(0.85, 1.0)
    points = landmarks(person, face)
    joints = body_joints(place(points, pose), pose, raised) + rng.normal(0, 0.5, (len(face), JOINTS, 2))
    return Scene(person, points, pose, joints, rng.uniform(0.88, 1.1))


def draw(scene: Scene) -> bytes:
    """Paint a scene as an mp4 without sound."""

    def pictures() -> Iterator[Image]:
        for points, pose, joints in zip(scene.points, scene.pose, scene.joints, strict=True):
            picture = paint(scene.person, points, pose, SIZE, scene.light)
            paint_body(picture, joints, float(pose[2]), scene.person, scene.light)
            yield picture

    return mp4(pictures(), FPS)


def draw_detections(film: Film, scene: Scene, key: tuple[object, ...]) -> list[str]:
    """Return what a pose detector would find at every grid step, as lines of ``boxes.csv``."""
    rng = rng_of(*key, "found", film.id)
    every = FPS // STEPS
    faces = place(scene.points, scene.pose)[::every]
    bodies, tops = scene.joints[::every], scene.pose[::every, 1] - scene.pose[::every, 2]
    count = len(faces)
    no_face, no_body = rng.random(count) < LOST_FACE, rng.random(count) < LOST_BODY
    if rng.random() < 0.3:  # a hand before the face
        start = int(rng.integers(count))
        no_face[start : start + 4] = True
    lines = []
    for step in range(count):
        joints = bodies[step] + rng.normal(0, 0.4, (JOINTS, 2))
        inside = ((joints >= 0) & (joints <= SIZE)).all(1)  # not a number is not inside
        face, body = [""] * 4, [""] * 4
        values = [""] * (3 * JOINTS)
        if not no_face[step]:
            box = np.concatenate([faces[step].min(0), faces[step].max(0)]) + rng.normal(0, 0.5, 4)
            face = [f"{side:.1f}" for side in np.clip(box, 0, [*SIZE, *SIZE])]
        if not no_body[step]:
            low, high = np.nanmin(joints[inside], 0) - 4, np.nanmax(joints[inside], 0) + 4
            box = np.array([low[0], tops[step], high[0], high[1]])
            body = [f"{side:.1f}" for side in np.clip(box, 0, [*SIZE, *SIZE])]
            for joint in np.flatnonzero(inside):
                x, y = joints[joint]
                values[3 * joint : 3 * joint + 3] = [f"{x:.1f}", f"{y:.1f}", f"{rng.uniform(0.7, 1):.2f}"]
        lines.append(",".join([film.id, f"{step / STEPS:.2f}", *face, *body, *values]))
    return lines


def _film(film: Film, key: tuple[object, ...]) -> bytes:
    return draw(act(film, key))


def _boxes(films: Sequence[Film], key: tuple[object, ...]) -> str:
    return table(",".join(HEADER), [line for film in films for line in draw_detections(film, act(film, key), key)])


def film_parts(corpus: str, version: int, seed: int, films: Sequence[Film], texts: Mapping[str, str]) -> list[Part]:
    """Return the parts of a corpus: its videos, the texts of its label files by path, and ``boxes.csv``."""
    key = (corpus, version, seed)
    clips = [Part((film.file,), partial(_film, film, key), clip=True) for film in films]
    labels = [Part((file,), text) for file, text in texts.items()]
    return [*clips, *labels, Part(("boxes.csv",), partial(_boxes, films, key))]
