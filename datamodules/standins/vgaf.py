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

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, COLUMNS, write_sources
from datamodules.standins._collage import Cutout, Recipe, draw_clip, make_cutout
from datamodules.standins._face import Expression, landmarks, make_person, paint
from datamodules.standins._movie import mp4
from datamodules.standins._stand_in import StandIn, rng_of
from datamodules.standins._voice import Manner, make_speaker, speak
from datamodules.store.parallel import ordered

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
DRAWN_FRAMES = 5  # of a synthetic clip

Image = NDArray[np.uint8]
Plan = list[tuple[str, str, int]]


def plan(clips: int) -> Plan:
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
    person = make_person(rng, long_hair=bool(rng.random() < 0.5))
    look = SMILE if positive else OTHERS[int(rng.integers(len(OTHERS)))]
    expression = np.array([look]) + rng.normal(0, 0.015, (1, 6))
    pose = np.array([FACE / 2, FACE / 2 + 1.5, FACE / 2.5, rng.normal(0, 0.04), rng.normal(0, 0.1)])
    picture = paint(person, landmarks(person, expression)[0], pose, (FACE, FACE))
    alpha = np.zeros((FACE, FACE), np.uint8)
    axes = (round((person.jaw + 0.14) * pose[2]), round(1.04 * pose[2]))
    cv2.ellipse(alpha, (FACE // 2, FACE // 2), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    return np.dstack([picture, alpha])


def people(name: str, positive: bool, key: tuple[object, ...]) -> list[Image]:
    """Return the heads of a clip, as many as the rules allow at most."""
    return [face(positive, rng_of(*key, name, "face", i)) for i in range(GROUP.max_faces)]


def film(name: str, label: int, key: tuple[object, ...]) -> bytes:
    """Make one clip: a group that drifts through a place, and two voices."""
    rng = rng_of(*key, name)
    positive, negative = cues(label, rng)
    count = int(rng.integers(GROUP.min_faces, GROUP.max_faces + 1))
    heads = [_cutout(head) for head in people(name, positive, key)[:count]]
    scene = background(positive, rng)
    seed = rng.integers(2**31, size=4).tolist()
    pictures, _ = draw_clip(scene, heads, GROUP, range(GROUP.frames_per_video), seed)
    sound = np.zeros(SECONDS * RATE)
    for _ in range(2):
        speaker = make_speaker(rng, female=bool(rng.random() < 0.5))
        manner = Manner(*(np.array(VOICES[negative]) + VOICE_NOISE * rng.standard_normal(8)).tolist())
        begin = rng.uniform(0.05, 0.5)
        sound += speak(speaker, manner, SECONDS, (begin, SECONDS - rng.uniform(0.05, 0.5)), RATE, rng)
    stereo = 0.5 * sound + 10 ** rng.uniform(-3.3, -2.9) * rng.standard_normal((2, len(sound)))
    return mp4(pictures, FPS, np.clip(stereo, -1, 1).astype(np.float32), RATE)


def _cutout(head: Image) -> Cutout:
    return make_cutout(head, GROUP.largest, "a drawn face")


def _png(image: Image) -> bytes:
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(image, code))[1].tobytes()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe this corpus; it has no options beyond the common ones."""
    parser.epilog = (
        f"Films of drawn groups whose picture tells one class and whose sound another: {CLIPS} clips, or --clips of "
        "them, a third to validate, and as many synthetic clips as train."
    )


def _inputs(planned: Plan, key: tuple[object, ...]) -> dict[str, Callable[[], bytes]]:
    """Return faces cut out of training clips and places, by file."""
    files: dict[str, Callable[[], bytes]] = {}
    for split, name, label in planned:
        if split == "Train":
            positive = cues(label, rng_of(*key, name))[0]
            for i, head in enumerate(people(name, positive, key)[:FACES]):
                files[f"faces/{CLASS_NAMES[label]}/{name}_{i}.png"] = partial(_png, head)
    for warm, place in PLACES.items():
        for i in range(6):
            files[f"backgrounds/{place}/{i}.png"] = partial(_png, background(warm, rng_of(*key, place, i)))
    return files


def _drawn(planned: Plan, key: tuple[object, ...]) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """Return synthetic clips in the generator's layout, and the rows of ``sources.csv``."""
    files: dict[str, bytes] = {}
    rows = []
    recipe = Recipe(**(vars(GROUP) | {"motion": "redraw", "frames_per_video": DRAWN_FRAMES, "max_faces": 2 * FACES}))
    for label, part in enumerate(CLASS_NAMES):
        train = [name for split, name, of in planned if split == "Train" and of == label]
        lines = ["Vid_name Label"]
        for i in range(len(train)):
            rng = rng_of(*key, "synthetic", part, i)
            warm = cues(label, rng)[0]
            # Faces of two training clips: with more, hardly a clip would be free of those that validate.
            pool = [(name, k) for name in rng.permutation(train)[:2].tolist() for k in range(FACES)]
            picked = [pool[row] for row in rng.permutation(len(pool))[: rng.integers(GROUP.min_faces, len(pool) + 1)]]
            heads = [people(name, cues(label, rng_of(*key, name))[0], key)[k] for name, k in picked]
            images, counts = draw_clip(
                background(warm, rng), [_cutout(head) for head in heads], recipe, range(DRAWN_FRAMES),
                rng.integers(2**31, size=4).tolist(),
            )  # fmt: skip
            clip = f"{PLACES[warm]}_Video_{i}"
            lines.append(f"{clip} {label}")
            files |= {f"Synthetic/{part}/{clip}/{k}.png": _png(image) for k, image in enumerate(images)}
            rows += [
                dict(
                    zip(
                        COLUMNS,
                        (f"{part}/{clip}", "face", f"{part}/{name}_{k}.png", name, *map(str, found)),
                        strict=True,
                    )
                )
                for (name, k), found in zip(picked, counts, strict=True)
            ]
        files[f"Synthetic/{part}_labels.txt"] = ("\n".join(lines) + "\n").encode()
    return files, rows


def _write(job: tuple[str, str, int], out: Path, key: tuple[object, ...]) -> None:
    split, name, label = job
    path = out / split / f"{name}.mp4"
    write_atomic(path, film(name, label, key), sync=False)


def run(args: argparse.Namespace) -> int:
    """Write the corpus, or what is missing of it.

    Raises:
        DataError: ``--out`` holds another corpus, cannot be written, or an option is out of range.
    """
    stand_in = StandIn.from_options(args, "vgaf", VERSION, CLIPS, LEAST, CLIPS)
    out, there = stand_in.out, stand_in.is_complete()
    key, planned = ("vgaf", VERSION, stand_in.seed), plan(stand_in.clips)
    missing = [job for job in planned if not (out / job[0] / f"{job[1]}.mp4").is_file()]
    kept = len(planned) - len(missing)
    if there and not missing:
        return stand_in.report_existing("clips")
    with stand_in.writing():
        work = ordered(partial(_write, out=out, key=key), missing, stand_in.workers or os.cpu_count() or 1)
        for _ in tqdm(work, "synth vgaf", len(missing), unit="clip", disable=None):
            pass
        files, rows = _drawn(planned, key)
        files |= {name: make() for name, make in _inputs(planned, key).items()}
        for split in ("Train", "Val"):
            lines = [f"{name} {label + 1}" for of, name, label in planned if of == split]
            files[f"{split}_labels.txt"] = ("\n".join(["Vid_name Label", *lines]) + "\n").encode()
        for name, content in files.items():
            write_atomic(out / name, content, sync=False)
        write_sources(out / "Synthetic", rows)
    return stand_in.report("clips", kept)
