"""CFN-SR on RAVDESS, stage by stage, beside the paper's recipe: both sides in one run, turn by turn.

    python benchmarks/ravdess.py [PART ...] [--source DIR] [--threads 1] [--out FILE.json]

Times are CPU seconds of this process and its children, medians over rounds, so that other load on the machine matters
little; on a GPU the step is timed by the wall clock. Without ``--source`` it makes its own 1280 x 720 clips.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import av
import cv2
import numpy as np
import paper_recipe
import torch
from grouped_conv import race_grouped
from timing import race, timed
from training_step import race_step

from datamodules.batches import ClipDataset
from datamodules.entries import Entry, Media
from datamodules.ravdess import RAVDESSDataModule
from datamodules.recipe import load
from datamodules.store.making import prepare_job
from datamodules.store.writer import StoreWriter

PARTS = ("prepare", "fetch", "augment", "step", "grouped")
BARS = {"prepare": 1.7, "fetch": 50, "augment": 2, "step": 2.5}


def make_clip(path: Path, seconds: float = 3.5, rate: int = 30) -> None:
    """Write a drawn face on a grainy background: 1280 x 720, H.264 at 8 Mbit/s, stereo AAC at 48 kHz."""
    rng = np.random.default_rng(len(path.stem))
    grain = rng.normal(0, 6, (800, 1400, 1)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "threads": "2"})
        video.width, video.height, video.pix_fmt, video.bit_rate = 1280, 720, "yuv420p", 8_000_000
        audio = container.add_stream("aac", rate=48000, layout="stereo")
        for i in range(int(seconds * rate)):
            image = np.full((720, 1280, 3), (200, 205, 210), np.float32)
            centre = (640 + int(20 * np.sin(i / 9)), 350 + int(8 * np.cos(i / 7)))
            cv2.ellipse(image, centre, (105, 145), 0, 0, 360, (225, 180, 150), -1)
            cv2.ellipse(image, (centre[0], centre[1] + 60), (40, 5 + i % 15), 0, 0, 360, (150, 60, 60), -1)
            y, x = rng.integers(80), rng.integers(120)
            image += grain[y : y + 720, x : x + 1280]
            container.mux(video.encode(av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")))
        wave = rng.normal(0, 0.1, (2, int(seconds * 48000))).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
        sound.rate = 48000
        for stream, frame in ((audio, sound), (audio, None), (video, None)):
            container.mux(stream.encode(frame))


def make_landmarks(clip: Path, path: Path) -> None:
    """Write a landmark file of 712 columns with a still face in the middle of the picture."""
    with av.open(str(clip)) as container:
        width, height = container.streams.video[0].width, container.streams.video[0].height
        rows = container.streams.video[0].frames or 100
    names = [f"column_{i}" for i in range(712)]
    names[:5] = ["frame", "face_id", "timestamp", "confidence", "success"]
    names[297:433] = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
    table = np.random.default_rng(0).normal(100, 300, (rows, 712))
    table[:, 3:5] = 1
    angle = np.linspace(0, 2 * np.pi, 68)
    table[:, 297:365] = width / 2 + 0.2 * height * np.cos(angle)
    table[:, 365:433] = height / 2 + 0.2 * height * np.sin(angle)
    np.savetxt(path, table, "%.3f", ", ", header=", ".join(names), comments="")


class Corpus:
    """The clips, and what both sides make of them.

    Args:
        source: Folder of RAVDESS clips; own clips where None.
        folder: For everything that is written.
        clips: Number of own clips.
    """

    def __init__(self, source: Path | None, folder: Path, clips: int) -> None:
        self.folder = folder
        if source is None:
            paths = [folder / f"01-01-0{i % 8 + 1}-01-01-0{i // 8 + 1}-01.mp4" for i in range(clips)]
            for path in paths:
                make_clip(path)
        else:
            paths = sorted(source.rglob("01-*.mp4"))
        if not paths:
            sys.exit(f"error: --source {source}: no clips named 01-*.mp4 there")
        self.tables = {path: folder / f"{path.stem}.csv" for path in paths}
        for path, table in self.tables.items():
            make_landmarks(path, table)
        self.views = load("cfnsr", {"video": {"face": "landmarks"}}).views
        self.entries = [
            Entry(path.stem, media={"video": Media(path), "audio": Media(path), "landmarks": Media(table)})
            for path, table in self.tables.items()
        ]

    def jpegs(self) -> list[Path]:
        """Return the baseline's folders, prepared."""
        folders = [self.folder / "jpegs" / path.stem for path in self.tables]
        for (path, table), folder in zip(self.tables.items(), folders, strict=True):
            if not folder.exists():
                paper_recipe.prepare(path, table, folder)
        return folders

    def data(self) -> RAVDESSDataModule:
        """Return our DataModule over a store of the same clips."""
        dtypes = {"video": "u8", "wave": "i16", "mfcc": "f32"}
        writer = StoreWriter(self.folder / "prepared", dtypes, {"face": "landmarks"}, synthetic=True)
        for entry in [] if writer.complete else self.entries:
            (clip,) = prepare_job([entry], self.views)
            if clip.reason:
                sys.exit(f"error: {entry.id}: {clip.reason}")
            writer.add(entry.id, entry.id[-2:], int(entry.id[6:8]) - 1, clip.arrays)
        writer.finish()
        return RAVDESSDataModule(str(self.folder))


def every_clip(data: RAVDESSDataModule) -> ClipDataset:
    """Return all clips of the store."""
    rows = np.arange(len(data.store.ids))
    return data.clips(rows, torch.zeros(len(rows), dtype=torch.long))


def race_prepare(corpus: Corpus, rounds: int) -> dict[str, float]:
    """Time the way from a raw clip to what training reads; seconds per clip."""
    times = race(
        {
            "baseline": timed(
                lambda: [paper_recipe.prepare(*pair, corpus.folder / "raced") for pair in corpus.tables.items()]
            ),
            "ours": timed(lambda: [prepare_job([entry], corpus.views) for entry in corpus.entries]),
        },
        rounds,
    )
    return {name: seconds / len(corpus.entries) for name, seconds in times.items()}


def race_fetch(corpus: Corpus, rounds: int) -> dict[str, float]:
    """Time one validation sample from disk; ours is normalised later, on the device: that is the third figure."""
    folders, data = corpus.jpegs(), corpus.data()
    clips = every_clip(data)
    turns = 20  # one sample of ours is too short for the clock

    def ours() -> None:
        for _ in range(turns):
            for row in range(len(clips)):
                clips[row]

    times = race(
        {
            "baseline": timed(lambda: [paper_recipe.fetch(folder) for folder in folders]),
            "ours": timed(ours),
            "ours, normalised": timed(
                lambda: [data.on_after_batch_transfer(clips[row], 0) for row in range(len(clips))]
            ),
        },
        rounds,
    )
    return {name: seconds / len(clips) / (turns if name == "ours" else 1) for name, seconds in times.items()}


def race_augment(corpus: Corpus, rounds: int) -> dict[str, float]:
    """Time training samples from disk to what the network sees; seconds per clip, ours in batches of up to 8."""
    folders, data = corpus.jpegs(), corpus.data()
    data.trainer = SimpleNamespace(training=True, current_epoch=0)
    clips = every_clip(data)
    batches = [list(range(len(clips)))[i : i + 8] for i in range(0, len(clips), 8)]
    times = race(
        {
            "baseline": timed(lambda: [paper_recipe.fetch(folder, augmented=True) for folder in folders]),
            "ours": timed(lambda: [data.on_after_batch_transfer(clips.__getitems__(rows), 0) for rows in batches]),
        },
        rounds,
    )
    return {name: seconds / len(clips) for name, seconds in times.items()}


def main() -> None:
    """Run the parts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all; grouped on a GPU)")
    parser.add_argument("--source", type=Path, help="RAVDESS clips (landmark files are made up); default: own clips")
    parser.add_argument("--clips", type=int, default=4, help="number of own clips")
    parser.add_argument("--sizes", type=int, nargs="+", default=[112, 224], help="picture sizes of the training step")
    parser.add_argument("--batch", type=int, default=4, help="clips per training step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = args.parts or PARTS[: len(PARTS) - (device.type == "cpu")]
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if set(parts) - {"step", "grouped"}:
            corpus = Corpus(args.source, Path(folder), args.clips)
            for part, run in (("prepare", race_prepare), ("fetch", race_fetch), ("augment", race_augment)):
                if part in parts:
                    results[part] = run(corpus, args.rounds)
    for part, run_step in (("step", race_step), ("grouped", race_grouped)):
        for size in args.sizes if part in parts else []:
            results[f"{part} {size}"] = run_step([args.batch, 3, 30, size, size], args.rounds, device)
    print(f"{'part':<12}{'contestant':<24}{'ms':>10}{'x baseline':>12}   bar")
    for part, times in results.items():
        bar = BARS.get(part.split()[0])
        for name, seconds in times.items():
            last = f">= {bar:g}" if bar and name == "ours" else ""
            if last and "roofline" in times:
                last += f"   {times['roofline'] / seconds:.0%} of the roofline"
            print(f"{part:<12}{name:<24}{1e3 * seconds:>10.2f}{times['baseline'] / seconds:>12.2f}   {last}")
    if args.out:
        about = {"threads": args.threads, "batch": args.batch, "device": str(device), "torch": torch.__version__}
        args.out.write_text(json.dumps({"about": about, "seconds": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
