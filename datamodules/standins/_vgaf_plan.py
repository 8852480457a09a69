"""Which synthetic clips of VGAF are drawn, of which faces and backgrounds; options that make no sense are refused."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.catalogues.vgaf.labels import CLASS_NAMES
from datamodules.errors import DataError
from datamodules.reading.matches import print_copies
from datamodules.reading.names import fault_in_name
from datamodules.reading.tables import read_table, settle
from datamodules.standins._drawing.collage import Recipe

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


class Video(NamedTuple):
    """One clip to draw."""

    name: str
    label: str  # its class
    background: Path
    faces: Path  # folder of the faces of its class
    cutouts: tuple[str, ...]  # their names, sorted
    key: tuple[int, ...]  # seed of the clip


def checked_recipe(args: argparse.Namespace) -> Recipe:
    """Check the options of the command line and make the rules of them.

    Raises:
        DataError: An option is out of range, or two do not go together.
    """
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    for fault in _faults(args, recipe):
        raise DataError(fault)
    return recipe


def _faults(args: argparse.Namespace, recipe: Recipe) -> Iterator[str]:
    def given(name: str) -> str:
        return f"--{name.replace('_', '-')} {getattr(args, name)}"

    for name in ("canvas_size", "frames_per_video", "min_faces", "base_face_size", "max_tries_per_face"):
        if getattr(args, name) < 1:
            yield f"{given(name)}: at least 1"
    if args.videos_per_bg < 1 or args.tensor_frames < 1 or (args.size is not None and args.size < 16):
        yield "--videos-per-bg and --tensor-frames: at least 1; --size: at least 16"
    if args.workers < 1:
        yield f"{given('workers')}: at least 1"
    if args.clips is not None and args.clips < len(set(args.label)):
        yield f"{given('clips')}: at least one for each of {len(set(args.label))} classes"
    if args.seed < 0:
        yield f"{given('seed')}: a whole number from 0"
    for low in ("min_faces", "face_scale_min", "rotate_min_deg"):
        if getattr(args, low) > getattr(args, high := low.replace("min", "max")):
            yield f"{given(low)} is more than {given(high)}"
    for name in ("rotate_prob", "max_overlap_ratio"):
        if not 0 <= getattr(args, name) <= 1:
            yield f"{given(name)}: between 0 and 1"
    if min(args.margin, args.drift_per_frame) < 0 or args.face_scale_min <= 0:
        yield "--margin and --drift-per-frame: at least 0; --face-scale-min: more than 0"
    if recipe.largest * 2**0.5 + 2 * args.margin > args.canvas_size:
        face = f"a face of {recipe.largest} pixels, rotated, and a margin of {args.margin}"
        yield f"{given('canvas_size')}: {face} do not fit"
    if args.frames_per_video < args.tensor_frames and args.format == "pt":
        yield f"{given('tensor_frames')}: a clip has {given('frames_per_video')}"
    if args.audio and args.format != "pt":
        yield "--audio goes with --format pt; `cli.py prepare vgaf` gives sounds to PNG frames"
    if args.audio and (args.audio.name != "Train" or not args.audio.is_dir()):
        yield f"{given('audio')}: name the folder Train of VGAF_Tensors_all_5 or _75; no other clip may train"


def _pictures(folder: Path, option: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"--{option}: no folder {folder}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not found:
        raise DataError(f"--{option}: no picture in {folder}")
    return found


def plan(args: argparse.Namespace, label: str, labels: Sequence[str], seed: int) -> list[Video]:
    """Choose the clips of one class: backgrounds without replacement, category after category.

    ``--clips`` is divided between ``labels``; every class has a stream of its own.

    Raises:
        DataError: A folder is missing or empty, or there are too few faces or backgrounds.
    """
    faces = _pictures(args.faces / label, "faces")
    if len(faces) < args.max_faces:
        wanted = f"a clip takes up to {args.max_faces}: give more, or --max-faces"
        raise DataError(f"--faces: {len(faces)} in {args.faces / label}, {wanted}")
    if not args.backgrounds.is_dir():
        raise DataError(f"--backgrounds: no folder {args.backgrounds}")
    categories = sorted(path for path in args.backgrounds.iterdir() if path.is_dir() and path.name[0] != ".")
    if not categories:
        raise DataError(f"--backgrounds {args.backgrounds}: no folder of a category in it, DIR/<category>/*.jpg")
    for name in (path.name for path in categories):
        if fault_in_name(name) or len(name.split()) > 1:
            fault = f"the folder {name!r} cannot name clips, as label files are divided at blanks; rename it"
            raise DataError(f"--backgrounds {args.backgrounds}: {fault}")
    number = CLASS_NAMES.index(label)
    chosen: list[tuple[int, str, Path]] = []
    for place, category in enumerate(categories):
        found = _pictures(category, "backgrounds")
        drawn = np.random.default_rng([seed, number, place]).permutation(len(found))[: args.videos_per_bg]
        chosen += [(i, category.name, found[row]) for i, row in enumerate(drawn.tolist())]
    if args.clips is not None:  # round by round, so that a smaller number takes from every category
        share = args.clips // len(labels) + (labels.index(label) < args.clips % len(labels))
        if share > len(chosen):
            given = f"backgrounds and --videos-per-bg give {len(chosen)}"
            raise DataError(f"--clips {args.clips}: {share} of {label} are wanted, {given}")
        chosen = sorted(sorted(chosen, key=lambda entry: entry[:2])[:share], key=lambda entry: (entry[1], entry[0]))
    names = tuple(path.name for path in faces)
    return [
        Video(f"{category}_Video_{i}", label, path, args.faces / label, names, (seed, number, *category.encode(), i))
        for i, category, path in chosen
    ]


def read_origins(path: Path | None) -> dict[str, str]:
    """Return the clip that each face was cut out of, as a file of the user says.

    Raises:
        DataError: It cannot be read, or says two clips of one face.
    """
    rows = read_table(path, ("file", "clip"), "--sources") if path else []
    origins, copies = settle((row["file"], row["clip"], row.place) for row in rows)
    if path:
        print_copies(path, copies)
    return origins
