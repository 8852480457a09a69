"""What preparing the engagement corpora shares: options, boxes, the store of one entry per video."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.matches import tell_unmatched
from datamodules.parallel import ordered
from datamodules.prepare._boxes import COLUMNS, load_detector, read_boxes
from datamodules.prepare._engagement_video import (
    BODY_MARGIN,
    BUILT_IN,
    FACE_MARGIN,
    SIZES,
    Settings,
    Video,
    prepare_video,
)
from datamodules.prepare._fill import check_common, check_groups, corpus_root, fill
from datamodules.recordings import check_recordings, same_bytes
from datamodules.store import DataError, Store, is_stand_in
from datamodules.store_writer import StoreWriter

SELDOM = 0.05  # share of the steps below which a part is more likely misread than unseen
STAND_IN_SIZES = {"face": 64, "body": 64}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that the corpora share."""
    parser.add_argument(
        "--boxes", type=Path, metavar="CSV", help="boxes and joints by video and time (default: DIR/boxes.csv if there)"
    )
    parser.add_argument("--detector", metavar="PKG:FUNCTION", help="function from a picture to boxes and joints")
    parser.add_argument(
        "--parts", nargs="+", choices=list(COLUMNS), help="what to store (default: all that boxes or detector give)"
    )
    parser.add_argument("--face-size", type=int, help="side of face pictures (default: 240; of a stand-in 64)")
    parser.add_argument("--body-size", type=int, help="side of body pictures (default: 256; of a stand-in 64)")
    parser.add_argument("--face-margin", type=int, default=FACE_MARGIN, help="pixels around the face (default: 10)")
    parser.add_argument(
        "--body-margin", type=int, nargs=2, default=BODY_MARGIN, metavar=("X", "Y"), help="(default: 100 125)"
    )
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable videos")


def run(args: argparse.Namespace, corpus: str, videos: Sequence[Video]) -> int:
    """Prepares the videos of a corpus and returns the exit code.

    Args:
        args: Options of the command line.
        corpus: Its name.
        videos: What `scan` found, sorted by id.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    began = time.monotonic()
    synthetic = is_stand_in(args.source, corpus)
    usable = [video for video in videos if not video.reason]
    check_groups([video.group for video in usable], f"--source {args.source}", "videos")
    check_recordings(((video.path, video.group, (video.split, _label(video))) for video in usable), args.source)
    videos, settings, said = _settings(args, corpus, videos, synthetic=synthetic)
    folder = corpus_root(args, corpus, synthetic=synthetic) / "prepared"
    print(f"{len(videos)} videos, {said}")
    writer = StoreWriter(folder, settings.arrays, settings.manifest(), synthetic, columns=("split",))
    write = partial(_write_videos, writer, corpus, videos, settings, args.workers or os.cpu_count() or 1)
    if code := fill(writer, write, args, len(videos), "videos", ("av", "numpy", "opencv-python-headless")):
        return code
    _print_summary(Store(folder), time.monotonic() - began)
    return 0


def is_copy(known: Video, other: Video) -> bool:
    """Whether a video is one that is known already, again, with the same said of it."""
    same = (known.group, known.split) == (other.group, other.split) and _label(known) == _label(other)
    return same and same_bytes(known.path, other.path)


def _label(video: Video) -> bytes | None:
    return None if video.labels is None else video.labels.tobytes()


def _settings(
    args: argparse.Namespace, corpus: str, videos: Sequence[Video], *, synthetic: bool
) -> tuple[list[Video], Settings, str]:
    """Checks the options, hands each video its boxes, and says where they come from."""
    check_common(args)
    if args.boxes and args.detector:
        raise DataError("--boxes and --detector exclude each other; leave one out.")
    defaults = STAND_IN_SIZES if synthetic else SIZES
    asked = {"face": args.face_size, "body": args.body_size}
    sizes = {part: defaults[part] if size is None else size for part, size in asked.items()}
    for part, size in sizes.items():
        if size < 8:
            raise DataError(f"--{part}-size {size}: give at least 8 pixels.")
    if min(args.face_margin, *args.body_margin) < 0:
        raise DataError("--face-margin, --body-margin: give pixels, at least 0.")
    videos, given, boxes = list(videos), ["face"], BUILT_IN
    said = "faces from the built-in detector"
    table = args.boxes or args.source / "boxes.csv"
    if args.detector:
        load_detector(args.detector)
        given, boxes, said = list(COLUMNS), args.detector, f"boxes from {args.detector}"
    elif args.boxes or table.is_file():
        rows, given = read_boxes(table)
        if not rows.keys() & {video.id for video in videos}:
            raise DataError(
                f"--boxes {table}: none of its videos is in {args.source}, where they have names like {videos[0].id}"
            )
        if "joints" in given and "body" not in given:
            given = [*given[:-1], "body", "joints"]
        tell_unmatched(str(table), rows, {video.id for video in videos}, label="row")
        videos = [replace(video, boxes=rows.get(video.id)) for video in videos]
        boxes, said = "csv", f"boxes from {table}"
    if lacking := [part for part in args.parts or () if part not in given]:
        raise DataError(f"--parts {' '.join(lacking)}: there are only {', '.join(given)} ({said}); give --boxes.")
    parts = tuple(part for part in COLUMNS if part in (args.parts or given))
    margin = (int(args.body_margin[0]), int(args.body_margin[1]))
    return videos, Settings(corpus, boxes, parts, sizes["face"], sizes["body"], args.face_margin, margin), said


def _write_videos(writer: StoreWriter, corpus: str, videos: Sequence[Video], settings: Settings, workers: int) -> None:
    names = [f"{corpus}/{video.id}" for video in videos]
    known = [video for video, name in zip(videos, names, strict=True) if name in writer.done]
    with ThreadPoolExecutor() as threads:
        hashes = dict(zip([f"{corpus}/{video.id}" for video in known], threads.map(Video.sha256, known), strict=True))
    writer.check_sources(names, hashes)
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} videos")
    todo = videos[len(writer.done) :]
    results = ordered(partial(prepare_video, settings=settings), todo, workers)
    with closing(results), tqdm(total=len(videos), initial=len(writer.done), unit="video", disable=None) as bar:
        for video, result in zip(todo, results, strict=True):
            name = f"{corpus}/{video.id}"
            if result.reason:
                writer.skip(name, video.name, result.reason, result.sha256)
            else:
                mean = np.nanmean(result.arrays["labels"], axis=0)
                split = {"split": video.split}
                writer.add(name, video.group, int(mean.argmax()), result.arrays, result.sha256, columns=split)
            bar.update()


def _print_summary(store: Store, seconds: float) -> None:
    counts = store.manifest["counts"]
    size = sum(array["bytes"] for array in store.manifest["arrays"].values()) / 1e6
    seen = ""
    for part in store.manifest["settings"]["parts"]:
        marks = np.concatenate([store.read(f"{part}_seen", i) for i in range(len(store))] or [np.zeros(1)])
        seen += f", {part} seen in {marks.mean():.1%} of the steps"
        if marks.mean() < SELDOM:
            print(
                f"warning: {part} seen in {marks.mean():.1%} of the steps: are the times of the boxes in seconds, the "
                "sides in pixels of the video?",
                file=sys.stderr,
            )
    splits = ", ".join(
        f"{sum(row['split'] == split for row in store.rows)} {split}" for split in ("train", "val", "test")
    )
    print(
        f"{counts['used']} videos used ({splits}), {counts['skipped']} skipped{seen}; "
        f"{size:.0f} MB in {seconds:.0f} s; fingerprint {store.fingerprint[:12]}"
        f"{' (SYNTHETIC)' * store.synthetic}; {store.folder}"
    )
