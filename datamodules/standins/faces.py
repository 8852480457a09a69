"""Stand-in for three of the emotion corpora, in their own raw formats: drawn faces whose expression follows the label.

A picture's category sets a look (`LOOKS`), its intensity how much of it is shown; valence and arousal are the
category's (`AFFECT`) times the intensity. Everything else is drawn independently: who it is, pose, light.

- ``affectnet``: half of the pictures, all eight categories with valence and arousal, every picture another person;
  ``training.csv``, ``validation.csv``, ``Manually_Annotated_Images/``, 96 x 96 with the box of the face.
- ``raf_db``: three tenths, seven categories, every picture another person; ``EmoLabel/list_patition_label.txt``,
  ``Image/aligned/``, 72 x 72 faces.
- ``afew_va``: two tenths, valence and arousal of -10..10 alone, clips of three frames, two clips an actor;
  ``NNN/NNN.json`` with landmarks, ``NNN/00000.png``, 96 x 96.

``SYNTHETIC`` says who made it. Until the last picture is written everything lies in ``.partial``. A picture depends on
the seed and its name alone.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.catalogues.faces import raf_db as raf
from datamodules.catalogues.faces.corpus import CATEGORIES
from datamodules.standins._face import Array, Expression, Image, landmarks, make_person, paint, place
from datamodules.standins._stand_in import StandIn

VERSION = 1  # raise it when the bytes of a picture change
PARTIAL = ".partial"
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


def _rng(seed: int, *what: object) -> np.random.Generator:
    key = "/".join(map(str, (VERSION, "faces", seed, *what)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))


def draw(category: str, strength: float, person: str, seed: int, name: str, size: int) -> tuple[Image, Array]:
    """Draw one face.

    Args:
        category: What it shows.
        strength: How much of it, 1 = the look as it stands in ``LOOKS``.
        person: Who it is.
        seed: Of the corpus.
        name: Of the picture.
        size: Side of the picture in pixels.

    Returns:
        RGB picture ``(size, size, 3)``, and the 68 landmarks in pixels ``(68, 2)``.
    """
    who, rng = _rng(seed, "person", person), _rng(seed, "picture", name)
    someone = make_person(who, long_hair=bool(who.random() < 0.5))
    face = strength * np.array(LOOKS[category]) + NOISE * rng.standard_normal(6)
    points = landmarks(someone, face[None])[0]
    pose = np.array(
        [
            size * rng.uniform(0.47, 0.53),
            size * rng.uniform(0.46, 0.52),
            size * rng.uniform(0.36, 0.42),
            rng.normal(0, 0.05),
            rng.normal(0, 0.10),
        ]
    )
    picture = paint(someone, points, pose, (size, size), rng.uniform(0.85, 1.1))
    return picture, place(points[None], pose[None])[0]


def _write_picture(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, np.ascontiguousarray(picture[:, :, ::-1]), quality)[1].tobytes())


def _affect(category: str, strength: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the valence and arousal of a picture, with the noise of an annotator."""
    valence, arousal = np.clip(strength * np.array(AFFECT[category]) + rng.normal(0, 0.03, 2), -1, 1).tolist()
    return round(valence, 6), round(arousal, 6)


def _affectnet(folder: Path, count: int, seed: int, bar: "tqdm[NoReturn]") -> None:
    columns = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    tables = {name: io.StringIO() for name in ("training", "validation")}
    writers = {name: csv.writer(text, lineterminator="\n") for name, text in tables.items()}
    for writer in writers.values():
        writer.writerow(columns.split(","))
    for i in range(count):
        rng = _rng(seed, "affectnet", i)
        category, strength = CATEGORIES[i % len(CATEGORIES)], rng.uniform(0.8, 1.25)
        key = hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()[:56]
        name = f"{i % 100 + 1}/{key}.jpg"
        picture, points = draw(category, strength, f"affectnet/{i}", seed, f"affectnet/{i}", 96)
        _write_picture(folder / "Manually_Annotated_Images" / name, picture)
        left, top, right, bottom = _head(points)
        flat = ";".join(f"{value:.2f}" for value in points.ravel())
        valence, arousal = _affect(category, strength, rng)
        split = "validation" if i // len(CATEGORIES) % 6 == 5 else "training"  # whole rounds: every category in both
        code = CATEGORIES.index(category)  # AffectNet's own, too
        writers[split].writerow([name, left, top, right - left, bottom - top, flat, code, valence, arousal])
        bar.update()
    for name, text in tables.items():
        write_atomic(folder / f"{name}.csv", text.getvalue())


def _head(points: Array) -> tuple[int, int, int, int]:
    """Return the box of a face detector: the landmarks and the forehead above them."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    top -= 0.35 * (bottom - top)
    left, top, right, bottom = (int(side) for side in np.clip([left, top, right, bottom], 0, 95).round())
    return left, top, right, bottom


def _raf_db(folder: Path, count: int, seed: int, bar: "tqdm[NoReturn]") -> None:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    names = list(RAF_DB)
    for i in range(count):
        rng = _rng(seed, "raf_db", i)
        category = names[i % len(names)]
        split = "test" if i // len(names) % 4 == 3 else "train"
        stem = f"{split}_{len(lines[split]) + 1:05d}"
        picture, _ = draw(category, rng.uniform(0.8, 1.25), f"raf_db/{i}", seed, f"raf_db/{i}", 72)
        _write_picture(folder / "Image/aligned" / f"{stem}_aligned.jpg", picture)
        lines[split].append(f"{stem}.jpg {RAF_DB[category]}")
        bar.update()
    (folder / "EmoLabel").mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "EmoLabel/list_patition_label.txt", "\n".join(lines["train"] + lines["test"]) + "\n")


def _afew_va(folder: Path, count: int, seed: int, bar: "tqdm[NoReturn]") -> None:
    for clip in range(count // FRAMES):
        name, rng = f"{clip + 1:03d}", _rng(seed, "afew_va", clip)
        category, actor = CATEGORIES[int(rng.integers(len(CATEGORIES)))], f"Actor {clip // 2 + 1}"
        begin, end = rng.uniform(0.1, 1.25, 2)
        frames = {}
        for i in range(FRAMES):
            strength = float(begin + (end - begin) * i / (FRAMES - 1))
            picture, points = draw(category, strength, f"afew_va/{actor}", seed, f"afew_va/{name}/{i}", 96)
            _write_picture(folder / name / f"{i:05d}.png", picture)
            valence, arousal = (round(10 * value) for value in _affect(category, strength, rng))
            frames[f"{i:05d}"] = {"landmarks": points.round(2).tolist(), "valence": valence, "arousal": arousal}
            bar.update()
        content = {"video_id": name, "actor": actor, "frames": frames}
        write_atomic(folder / name / f"{name}.json", json.dumps(content))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe this corpus; it has no options beyond the common ones."""
    parser.epilog = (
        f"Drawn faces in the formats of {', '.join(CORPORA)}: {CLIPS} pictures, or --clips of them, eight expressions, "
        "arousal and valence."
    )


def run(args: argparse.Namespace) -> int:
    """Write the corpora.

    Raises:
        DataError: ``--out`` holds another corpus, cannot be written, or an option is out of range.
    """
    stand_in = StandIn.from_options(args, "faces", VERSION, CLIPS, LEAST, MOST)
    out, seed, clips = stand_in.out, stand_in.seed, stand_in.clips
    if stand_in.is_complete() and all((out / name).is_dir() for name in CORPORA):
        return stand_in.report_existing("pictures")
    stage = out / PARTIAL
    with stand_in.writing():
        shutil.rmtree(stage, ignore_errors=True)  # a few seconds' work: drawn anew, not carried on
        raf_db, afew_va = 3 * clips // 10, clips // 5 // FRAMES * FRAMES
        with tqdm(desc="synth faces", total=clips, unit="picture", disable=None) as bar:
            _affectnet(stage / "affectnet", clips - raf_db - afew_va, seed, bar)
            _raf_db(stage / "raf_db", raf_db, seed, bar)
            _afew_va(stage / "afew_va", afew_va, seed, bar)
        for name in CORPORA:
            shutil.rmtree(out / name, ignore_errors=True)  # of a run that was killed here: the marker says ours
            os.replace(stage / name, out / name)
        stage.rmdir()
    return stand_in.report("pictures")
