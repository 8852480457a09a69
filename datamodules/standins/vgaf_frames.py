"""Synthetic clips for VGAF: cut-out faces of one emotion on backgrounds, as frames or as tensors, with a log.

The generator of Augusma, Vaufreydaz and Letué (ICMI 2023) with all its options (`collage` draws the clips).
Different from theirs: inputs are sorted, so that a seed means the same on every file system; every class draws from a
stream of its own; all classes in one run; ``sources.csv`` says what each clip was made of and how often a face found no
room; and tensors can be written at once, where theirs are pictures that their loader cannot read.

Output: ``<class>/<clip>/<k>.png`` and ``<class>_labels.txt`` below ``--out``, or with ``--format pt`` the tensors below
``<out>/Synthetic2661_all_5``; ``sources.csv`` and ``generator.json`` beside them.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from atomic_files import unfinished, write_atomic
from datamodules.catalogues.vgaf.labels import CLASS_NAMES, COLUMNS, SOURCES, read_labels, write_sources
from datamodules.catalogues.vgaf.layout import KINDS, Clip, folder_number, synthetic_folder
from datamodules.errors import DataError
from datamodules.reading.plain_json import read_object
from datamodules.sinks.tensors import give_sounds, write_tensor
from datamodules.standins._drawing.collage import Recipe, draw_clip, read_cutout, read_picture
from datamodules.standins._drawing.face import Image
from datamodules.standins._drawing.movie import picture_file
from datamodules.standins._stand_in import table
from datamodules.standins._vgaf_plan import Video, checked_recipe, plan, read_origins
from datamodules.store.journal import Journal
from datamodules.store.parallel import ordered
from datamodules.views.base import Times
from datamodules.views.whole_frames import as_tensor

VERSION = 1  # raise it when the bytes of a clip change
DONE, LOG = "generator.json", ".generator.jsonl"
TENSOR_SIZE = 224


class Output(NamedTuple):
    """Folder and format of the clips."""

    folder: Path  # holds a folder per class
    size: int  # side of the written frames in pixels
    frames: int  # frames of a tensor; 0 to write all frames as PNG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the generator, under the names of the released one where it has them."""
    add = parser.add_argument
    add("--backgrounds", type=Path, required=True, metavar="DIR", help="DIR/<category>/*.jpg and the like")
    add("--faces", type=Path, required=True, metavar="DIR", help="DIR/<class>/*.png, cut out (RGBA)")
    add("--label", nargs="+", choices=CLASS_NAMES, default=list(CLASS_NAMES), help="(default: all three)")
    add("--videos-per-bg", type=int, default=200, metavar="N", help="clips per category (default: 200)")
    for field in fields(Recipe):
        if field.name != "motion":
            option, value = f"--{field.name.replace('_', '-')}", field.default
            add(option, type=type(value), default=value, metavar="N", help=f"(default: {value})")
    motions = "redraw: every frame anew, as released; true: faces drift (default: redraw)"
    add("--motion", choices=["redraw", "true"], default="redraw", help=motions)
    add("--format", choices=["png", "pt"], default="png", help="frames or tensors (default: png)")
    add("--tensor-frames", type=int, default=5, metavar="N", help="frames of a tensor (default: 5)")
    add("--size", type=int, help="side of what is written (default: the canvas; of tensors 224)")
    add("--dtype", choices=["uint8", "float32"], default="uint8", help="of tensors (default: uint8)")
    sounds = "VGAF_Tensors_all_N/Train: give tensors the sound of training clips"
    add("--audio", type=Path, metavar="DIR", help=sounds)
    add("--sources", type=Path, metavar="CSV", help="columns file, clip: where each face was cut out")
    add("--overwrite", action="store_true", help="throw away what an earlier run left there")
    parser.epilog = "--clips N draws N clips in all, equally many of every class; the paper's seed is 2023"


def run(args: argparse.Namespace) -> int:
    """Draw the clips, or what is missing of them, and return the exit code.

    Raises:
        DataError: An input or an option is wrong, or the folder holds other clips.
    """
    began, seed = time.monotonic(), args.seed
    recipe = checked_recipe(args)
    labels = [name for name in CLASS_NAMES if name in args.label]
    tensors = args.format == "pt"
    folder = synthetic_folder(args.out, folder_number([args.tensor_frames])) if tensors else args.out
    size = args.size or (TENSOR_SIZE if tensors else recipe.canvas_size)
    output = Output(folder, size, args.tensor_frames if tensors else 0)
    videos = [video for label in labels for video in plan(args, label, labels, seed)]
    origins = read_origins(args.sources)
    request = {
        **{"version": VERSION, "seed": seed, **asdict(recipe), "labels": labels, "size": size},
        **{"frames": output.frames, "dtype": args.dtype, "audio": bool(args.audio)},
        "clips": [f"{video.label}/{video.name} {video.background.name}" for video in videos],
        "faces": {video.label: list(video.cutouts) for video in videos},
    }
    if args.overwrite:
        _throw_away(folder)
    if (folder / DONE).is_file():
        if read_object(folder / DONE, "throw away what is there: --overwrite").get("request") != request:
            raise DataError(
                f"{folder} holds clips drawn with other options; write elsewhere, or throw away: --overwrite"
            )
        print(f"{folder}: {len(videos)} clips are there already (seed {seed})")
        return 0
    if used := [label for label in labels if (folder / label).exists() and not (folder / LOG).exists()]:
        raise DataError(f"{folder / used[0]} was not made here; write elsewhere with --out")
    records = _draw_all(videos, output, recipe, args, request)
    rows = [
        dict(zip(COLUMNS, (record["clip"], "face", file, origins.get(file, file), placed, dropped), strict=True))
        for record in records
        for file, placed, dropped in record["faces"]
    ]
    for label in labels:
        for path in (folder / label).glob(".*.tmp"):  # of a worker that was killed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        lines = [f"{video.name} {CLASS_NAMES.index(label)}" for video in videos if video.label == label]
        write_atomic(folder / f"{label}_labels.txt", table("Vid_name Label", lines))
    write_sources(folder, [*rows, *_sounds(args, videos, output, seed)])
    shown, dropped = (sum(int(row[name]) for row in rows) for name in ("placed", "dropped"))
    counts = {"clips": len(videos), "faces placed": shown, "faces dropped": dropped}
    write_atomic(folder / DONE, json.dumps({"counts": counts, "request": request}, indent=1) + "\n")
    (folder / LOG).unlink()
    following = f". Next: cli.py prepare vgaf --source {args.out}" if tensors else ""
    print(
        f"{folder}: {len(videos)} clips of {', '.join(labels)}, seed {seed}, {time.monotonic() - began:.0f} s; faces "
        f"found no room {dropped:,} of {shown + dropped:,} times, see sources.csv{following}"
    )
    return 0


def _draw_all(
    videos: Sequence[Video], output: Output, recipe: Recipe, args: argparse.Namespace, request: dict[str, Any]
) -> list[Any]:
    """Draw what a run that was stopped left to do; return what is known of every clip."""
    output.folder.mkdir(parents=True, exist_ok=True)
    try:
        journal = Journal(output.folder / LOG, [], _is_drawn)
    except BlockingIOError:
        raise DataError(f"{output.folder}: another process is drawing here; wait for it to end") from None
    except ValueError as error:
        raise DataError(f"{output.folder / LOG} is damaged ({error}); throw away what is there: --overwrite") from None
    with closing(journal):
        if journal.header not in (None, json.loads(json.dumps(request))):
            raise DataError(
                f"{output.folder} holds clips begun with other options; write elsewhere, or throw away: --overwrite"
            )
        journal.start(request)
        todo = videos[len(journal.records) :]
        work = ordered(partial(draw, recipe=recipe, output=output, dtype=args.dtype), todo, args.workers)
        bar = tqdm(desc="synth vgaf-frames", total=len(videos), initial=len(journal.records), unit="clip", disable=None)
        with closing(work), bar:
            for record in work:
                journal.append(record, [])
                bar.update()
        return list(journal.records)


def _is_drawn(record: Any) -> bool:
    """Return whether a record of the journal is what `draw` returns."""
    faces = record.get("faces") if isinstance(record, dict) and isinstance(record.get("clip"), str) else None
    return isinstance(faces, list) and all(
        isinstance(face, list) and [type(value) for value in face] == [str, int, int] for face in faces
    )


def draw(video: Video, recipe: Recipe, output: Output, dtype: str) -> dict[str, Any]:
    """Draw one clip and put its files in place, whole or not at all.

    Returns:
        The clip and, of every face, its file and in how many frames it was placed and dropped.
    """
    rng = np.random.default_rng([VERSION, *video.key])
    count = int(rng.integers(recipe.min_faces, recipe.max_faces + 1))
    names = [video.cutouts[row] for row in rng.permutation(len(video.cutouts))[:count]]
    cutouts = [read_cutout(video.faces / name, recipe.largest) for name in names]
    background = read_picture(video.background, recipe.canvas_size)
    total = recipe.frames_per_video
    wanted = np.floor(Times(output.frames, 0.5)(total)).astype(int).tolist() if output.frames else list(range(total))
    images, counts = draw_clip(background, cutouts, recipe, wanted, [VERSION, *video.key])
    if output.size != recipe.canvas_size:
        kind = cv2.INTER_AREA if output.size < recipe.canvas_size else cv2.INTER_CUBIC
        images = [np.asarray(cv2.resize(image, (output.size,) * 2, interpolation=kind), np.uint8) for image in images]
    folder = output.folder / video.label
    folder.mkdir(parents=True, exist_ok=True)
    if output.frames:
        clip = _clip(video)
        write_tensor(folder / clip.file(KINDS["video"], output.frames), as_tensor(images, dtype))
    else:
        _write_pictures(folder / video.name, images)
    faces = [(f"{video.label}/{name}", *found) for name, found in zip(names, counts, strict=True)]
    return {"clip": f"{video.label}/{video.name}", "faces": faces}


def _write_pictures(folder: Path, images: Sequence[Image]) -> None:
    # The encoder is most of the cost of a frame; matches are rare in photographs: only Huffman is asked for.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    stage = unfinished(folder)
    stage.mkdir()
    try:
        for k, image in enumerate(images):
            (stage / f"{k}.png").write_bytes(picture_file(image, ".png", options))
    except OSError:
        shutil.rmtree(stage)
        raise
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed between this clip and its log
    os.replace(stage, folder)


def _sounds(args: argparse.Namespace, videos: Sequence[Video], output: Output, seed: int) -> list[dict[str, str]]:
    """Put spectrograms of real training clips under the names of the synthetic ones, as the authors do."""
    if not args.audio:
        return []
    labels = read_labels(args.audio.parent.parent, "Train")
    counts = [n for n in dict.fromkeys((5, output.frames)) if any(args.audio.glob(f"*.mp4.spec.{n}.pt"))]
    if not counts:
        raise DataError(f"--audio {args.audio}: no .mp4.spec.5.pt or .mp4.spec.{output.frames}.pt in it")
    train = [Clip(name, "Train", label) for name, label in sorted(labels.items())]
    givers = [clip for clip in train if all((args.audio / clip.file(KINDS["audio"], n)).is_file() for n in counts)]
    return give_sounds([_clip(video) for video in videos], output.folder, givers, args.audio, counts, seed)


def _clip(video: Video) -> Clip:
    return Clip(video.name, video.label, CLASS_NAMES.index(video.label))


def _throw_away(folder: Path) -> None:
    """Remove the output of an earlier run of this generator, and nothing from other folders."""
    if not any((folder / name).exists() for name in (DONE, LOG)):
        return
    for label in CLASS_NAMES:
        shutil.rmtree(folder / label, ignore_errors=True)
        (folder / f"{label}_labels.txt").unlink(missing_ok=True)
    for name in (DONE, LOG, SOURCES):
        (folder / name).unlink(missing_ok=True)
