"""Synthetic frames for VGAF per CPU-second, beside the released generator's recipe: both in one run, turn by turn.

    python benchmarks/vgaf_frames.py [--videos 2] [--frames 75] [--rounds 3] [--out FILE.json]

The recipe, written anew from its description (Pillow): for every frame the background is decoded and scaled again, and
so is every face, to 350 pixels, then scaled, perhaps rotated with a growing canvas, tried at up to 80 places against
the mask of what is taken, pasted by its alpha, and the frame saved as PNG. Ours draws the same number of faces by the
same rules, begins every round with no face decoded, and writes the same PNG frames, or, in the last row, one tensor of
75 frames of 224 pixels per clip.

Faces are drawn cut-outs of 256 pixels, 3 to 15 per clip; backgrounds JPEG of 341 x 256. Times are CPU seconds, medians
over rounds; the bar is 10 times the recipe's frames per CPU-second.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from PIL import Image
from timing import race, timed

from datamodules.standins._drawing.collage import Recipe, read_cutout
from datamodules.standins._vgaf_plan import Video
from datamodules.standins.vgaf_frames import Output, draw

BAR = 10


def invent(folder: Path, faces: int = 60, backgrounds: int = 8) -> None:
    """Write faces and backgrounds."""
    rng = np.random.default_rng(0)
    for part in ("faces", "backgrounds"):
        (folder / part).mkdir()
    for i in range(faces):
        image = cv2.resize(rng.integers(0, 256, (32, 32, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
        alpha = np.zeros((256, 256), np.uint8)
        cv2.ellipse(alpha, (128, 128), (95, 122), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"faces/{i:03d}.png"), np.dstack([image, alpha]))
    for i in range(backgrounds):
        image = cv2.resize(rng.integers(0, 256, (24, 32, 3), np.uint8), (341, 256), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"backgrounds/{i}.jpg"), image)


def recipe_video(background: Path, faces: list[Path], rules: Recipe, target: Path, rng: np.random.Generator) -> None:
    """Draw a clip as released."""
    size, base = rules.canvas_size, rules.base_face_size
    target.mkdir(parents=True, exist_ok=True)
    for number in range(rules.frames_per_video):
        canvas = Image.open(background).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        taken = np.zeros((size, size), bool)
        margin = int(rules.margin + number * rules.drift_per_frame)
        for path in faces:
            face = Image.open(path).convert("RGBA").resize((base, base), Image.Resampling.BILINEAR)
            side = int(base * rng.uniform(rules.face_scale_min, rules.face_scale_max))
            face = face.resize((side, side), Image.Resampling.BILINEAR)
            if rng.random() < rules.rotate_prob:
                angle = int(rng.integers(rules.rotate_min_deg, rules.rotate_max_deg + 1))
                face = face.rotate(angle, Image.Resampling.BILINEAR, expand=True)
            width, height = face.size
            mask = np.asarray(face)[..., 3] > 10
            for _ in range(rules.max_tries_per_face):
                x = int(rng.integers(margin, max(margin, size - margin - width) + 1))
                y = int(rng.integers(margin, max(margin, size - margin - height) + 1))
                overlap = np.logical_and(taken[y : y + height, x : x + width], mask).sum() / max(1, mask.sum())
                if overlap <= rules.max_overlap_ratio:
                    canvas.paste(face, (x, y), face)
                    taken[y : y + height, x : x + width] |= mask
                    break
        canvas.save(target / f"{number}.png")


def main() -> None:
    """Print frames per CPU-second and the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=2, help="clips per round")
    parser.add_argument("--frames", type=int, default=75, help="frames of a clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rules = Recipe(frames_per_video=args.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        invent(folder)
        faces = sorted((folder / "faces").iterdir())
        backgrounds = sorted((folder / "backgrounds").iterdir())
        names = tuple(path.name for path in faces)
        videos = [
            Video(f"clip{i}", "Positive", backgrounds[i % len(backgrounds)], folder / "faces", names, (0, i))
            for i in range(args.videos)
        ]

        def released() -> None:
            for i, video in enumerate(videos):
                rng = np.random.default_rng([1, *video.key])  # the faces that ours draws
                count = int(rng.integers(rules.min_faces, rules.max_faces + 1))
                chosen = [faces[row] for row in rng.permutation(len(faces))[:count]]
                recipe_video(video.background, chosen, rules, folder / "released" / str(i), rng)
            shutil.rmtree(folder / "released")

        def ours(output: Output) -> None:
            read_cutout.cache_clear()
            for video in videos:
                draw(video, rules, output, "uint8")
            shutil.rmtree(output.folder)

        outputs = {
            "png": Output(folder / "png", rules.canvas_size, 0),
            "pt": Output(folder / "pt", 224, args.frames),
        }
        runs: dict[str, Callable[[], float]] = {"released": timed(released)}
        runs |= {kind: timed(partial(ours, output)) for kind, output in outputs.items()}
        seconds = race(runs, args.rounds)
    frames = args.videos * args.frames
    print(f"{args.videos} clips x {args.frames} frames, medians of {args.rounds} rounds")
    print(f"{'':<10}{'ms / frame':>12}{'frames / s':>12}{'ratio':>8}")
    for kind, value in seconds.items():
        print(f"{kind:<10}{1e3 * value / frames:>12.2f}{frames / value:>12.0f}{seconds['released'] / value:>8.1f}")
    print(f"bar: {BAR} times the released recipe")
    if args.out:
        args.out.write_text(json.dumps({"frames": frames, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
