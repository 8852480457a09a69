"""Stand-in for VGAF in its own raw format: short films of drawn groups of people, with voices, and label files.

Each modality separates one class from the other two, and is wrong in about every seventh clip (`UNSURE`):

    ========= ============================= ======================
    class     picture                       sound
    ========= ============================= ======================
    Positive  warm, bright place, smiles    soft voices
    Neutral   cool, dim place, other faces  soft voices
    Negative  cool, dim place, other faces  hard, high voices
    ========= ============================= ======================

So pictures alone or sound alone get at most 57 % of the clips right, the pair 77 %, luck of a small corpus aside. The
rest (who, how many, where, movement, pitch of the speakers) is drawn independently. A clip depends on the seed and its
name alone.

Files: ``{Train,Val}/<clip>.mp4`` (96 x 96, 10 frames per second, 3 s, 16 kHz stereo), ``{Train,Val}_labels.txt`` (1 to
3), ``faces/<class>/*.png`` (cut out of training clips) and ``backgrounds/<place>/*.png`` to try `synth vgaf-frames`
on, ``Synthetic/`` (clips of that generator's making, as PNG frames, as many as training clips) and ``SYNTHETIC``.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from datamodules.catalogues.vgaf.labels import CLASS_NAMES, COLUMNS, SOURCES
from datamodules.standins._drawing.collage import Cutout, Recipe, draw_clip, make_cutout
from datamodules.standins._drawing.draws import rng_of
from datamodules.standins._drawing.face import Expression, Image, landmarks, make_person, paint
from datamodules.standins._drawing.movie import mp4, picture_file
from datamodules.standins._drawing.voice import Manner, make_speaker, record, speak
from datamodules.standins._stand_in import Part, StandIn, table

VERSION = 1  # raise it when the bytes of a clip change
CLIPS, LEAST = 180, 9
SIZE, FPS, SECONDS, RATE = 96, 10, 3, 16_000
FACE = 64  # pixels of a cut-out
UNSURE = 0.15  # of the clips look, or sound, like another class
FACES = 3  # kept of each training clip
PLACES = {True: "party", False: "street"}
COLOURS = {True: ((235, 190, 130), (200, 130, 70)), False: ((70, 90, 120), (50, 60, 75))}  # top and bottom
SMILE = Expression(curve=0.12, width=0.06, gape=0.05, eye=-0.1)
OTHERS = (Expression(), Expression(curve=-0.1, width=-0.02, slant=0.12), Expression(curve=-0.04, brow=-0.06, eye=-0.2))
VOICES = {
    True: Manner(pitch=5, slope=-2, tempo=5.5, level=-4, tilt=-4),
    False: Manner(pitch=-1, tempo=3.2, level=-12, tilt=-13, breath=0.25),
}
VOICE_NOISE = np.array(Manner(pitch=1.2, slope=0.7, swing=0.2, tempo=0.4, level=2, tilt=1.2, breath=0.04, tremor=0.1))
# The generator's rules on a small canvas: fewer and relatively larger faces.
GROUP = Recipe(
    canvas_size=SIZE, frames_per_video=FPS * SECONDS, min_faces=3, max_faces=5, face_scale_min=0.35, face_scale_max=0.5,
    base_face_size=FACE, margin=4, drift_per_frame=0.5, motion="true",
)  # fmt: skip
DRAWN = replace(GROUP, motion="redraw", frames_per_video=5, max_faces=2 * FACES)  # rules of synthetic clips


def plan(clips: int) -> list[tuple[str, str, int]]:
    """Return split, name and class of every clip: classes in turn, every third round of them validates."""
    return [("Val" if i // 3 % 3 == 2 else "Train", f"{i // 10 + 1}_{i % 10 + 1}", i % 3) for i in range(clips)]


def cues(label: int, rng: np.random.Generator) -> tuple[bool, bool]:
    """Return whether a clip of this class looks positive, and whether it sounds negative."""
    wrong = rng.random(2) < UNSURE
    return bool((label == 0) ^ wrong[0]), bool((label == 2) ^ wrong[1])


def background(warm: bool, rng: np.random.Generator) -> Image:
    """Return a place: two colours from top to bottom, and boxes in it."""
    top, bottom = (np.array(colour) + rng.normal(0, 12, 3) for colour in COLOURS[warm])
    share = np.linspace(0, 1, SIZE)[:, None, None]
    canvas = np.ascontiguousarray(np.broadcast_to((1 - share) * top + share * bottom, (SIZE, SIZE, 3)))
    for _ in range(int(rng.integers(2, 6))):
        x, y, width, height = (int(value) for value in rng.integers(4, SIZE, 4))
        colour = canvas[y, x] + rng.normal(0, 15, 3)
        cv2.rectangle(canvas, (x, y), (x + width // 3, y + height // 3), colour.tolist(), -1)
    return np.asarray(canvas.clip(0, 255), np.uint8)


def face(positive: bool, rng: np.random.Generator) -> Image:
    """Return a head cut out of its picture, RGBA ``(64, 64, 4)``."""
    person = make_person(rng)
    look = SMILE if positive else OTHERS[int(rng.integers(len(OTHERS)))]
    expression = np.array([look]) + rng.normal(0, 0.015, (1, 6))
    pose = np.array([FACE / 2, FACE / 2 + 1.5, FACE / 2.5, rng.normal(0, 0.04), rng.normal(0, 0.1)])
    picture = paint(person, landmarks(person, expression)[0], pose, (FACE, FACE))
    alpha = np.zeros((FACE, FACE), np.uint8)
    axes = (round((person.jaw + 0.14) * pose[2]), round(1.04 * pose[2]))
    cv2.ellipse(alpha, (FACE // 2, FACE // 2), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    return np.dstack([picture, alpha])


def film(name: str, label: int, key: tuple[object, ...]) -> bytes:
    """Make one clip: a group that drifts through a place, and two voices."""
    rng = rng_of(*key, name)
    positive, negative = cues(label, rng)
    count = int(rng.integers(GROUP.min_faces, GROUP.max_faces + 1))
    heads = [_cutout(_face(name, label, i, key)) for i in range(count)]
    scene = background(positive, rng)
    seed = rng.integers(2**31, size=4).tolist()
    pictures, _ = draw_clip(scene, heads, GROUP, range(GROUP.frames_per_video), seed)
    sound = np.zeros(SECONDS * RATE)
    for _ in range(2):
        speaker = make_speaker(rng, female=bool(rng.random() < 0.5))
        manner = Manner(*(np.array(VOICES[negative]) + VOICE_NOISE * rng.standard_normal(8)).tolist())
        begin = rng.uniform(0.05, 0.5)
        sound += speak(speaker, manner, SECONDS, (begin, SECONDS - rng.uniform(0.05, 0.5)), RATE, rng)
    return mp4(pictures, FPS, record(0.5 * sound, rng), RATE)


def _cutout(head: Image) -> Cutout:
    return make_cutout(head, GROUP.largest, "a drawn face")


def _face(name: str, label: int, number: int, key: tuple[object, ...]) -> Image:
    """Return one of the heads of a training clip."""
    return face(cues(label, rng_of(*key, name))[0], rng_of(*key, name, "face", number))


def _png(draw: Callable[..., Image], *what: object) -> bytes:
    return picture_file(draw(*what), ".png")


def _synthetic(trained: Sequence[Sequence[str]], key: tuple[object, ...]) -> Iterator[Part]:
    """Yield clips in the generator's layout, as many of a class as its training clips, and what they are made of."""
    clips = []
    for label, part in enumerate(CLASS_NAMES):
        warm = [cues(label, rng_of(*key, "synthetic", part, i))[0] for i in range(len(trained[label]))]
        names = [f"{PLACES[there]}_Video_{i}" for i, there in enumerate(warm)]
        clips += [(label, i, f"{part}/{name}") for i, name in enumerate(names)]
        yield Part((f"Synthetic/{part}_labels.txt",), table("Vid_name Label", [f"{name} {label}" for name in names]))
    files = [f"Synthetic/{clip}/{k}.png" for _, _, clip in clips for k in range(DRAWN.frames_per_video)]
    yield Part((*files, f"Synthetic/{SOURCES}"), partial(_draw_synthetic, clips, trained, key))


def _draw_synthetic(
    clips: Sequence[tuple[int, int, str]], trained: Sequence[Sequence[str]], key: tuple[object, ...]
) -> tuple[str | bytes, ...]:
    pictures: list[bytes] = []
    rows = []
    for label, i, clip in clips:
        part = CLASS_NAMES[label]
        rng = rng_of(*key, "synthetic", part, i)
        warm = cues(label, rng)[0]
        # Faces of two training clips: with more, hardly a clip would be free of those that validate.
        pool = [(name, k) for name in rng.permutation(trained[label])[:2].tolist() for k in range(FACES)]
        picked = [pool[row] for row in rng.permutation(len(pool))[: rng.integers(GROUP.min_faces, len(pool) + 1)]]
        heads = [_cutout(_face(name, label, k, key)) for name, k in picked]
        place, seed = background(warm, rng), rng.integers(2**31, size=4).tolist()
        images, counts = draw_clip(place, heads, DRAWN, range(DRAWN.frames_per_video), seed)
        pictures += [picture_file(image, ".png") for image in images]
        rows += [
            f"{clip},face,{part}/{name}_{k}.png,{name},{placed},{dropped}"
            for (name, k), (placed, dropped) in zip(picked, counts, strict=True)
        ]
    return (*pictures, table(",".join(COLUMNS), rows))


def _parts(count: int, seed: int) -> Iterator[Part]:
    key, planned = ("vgaf", VERSION, seed), plan(count)
    for split, name, label in planned:
        yield Part((f"{split}/{name}.mp4",), partial(film, name, label, key), clip=True)
    for split in ("Train", "Val"):
        rows = [f"{name} {label + 1}" for of, name, label in planned if of == split]
        yield Part((f"{split}_labels.txt",), table("Vid_name Label", rows))
    trained = [[name for split, name, of in planned if (split, of) == ("Train", label)] for label in range(3)]
    yield from _synthetic(trained, key)
    for label, names in enumerate(trained):
        for name, i in itertools.product(names, range(FACES)):
            draw = partial(_png, _face, name, label, i, key)
            yield Part((f"faces/{CLASS_NAMES[label]}/{name}_{i}.png",), draw)
    for warm, i in itertools.product(PLACES, range(6)):
        draw = partial(_png, background, warm, rng_of(*key, PLACES[warm], i))
        yield Part((f"backgrounds/{PLACES[warm]}/{i}.png",), draw)


CORPUS = StandIn(
    "vgaf", VERSION, "clips", (CLIPS, LEAST, CLIPS), _parts,
    f"Films of drawn groups whose picture tells one class and whose sound another: {CLIPS} clips, or --clips of "
    "them, a third to validate, and as many synthetic clips as train.",
)  # fmt: skip
add_arguments, run = CORPUS.add_arguments, CORPUS.run
