"""RAVDESS (Livingstone & Russo, PLOS ONE 2018): a folder of raw clips -> store.

Audio-video clips (modality 01) give frames, waveform and MFCC; where there are none, audio-only clips (modality 03)
give waveform and MFCC.
"""

import argparse
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from datamodules.landmarks import CONFIDENCE
from datamodules.parallel import ordered
from datamodules.prepare._fill import check_common, corpus_root, fill
from datamodules.prepare._matches import one_of_each, tell_unmatched
from datamodules.prepare._recordings import check_recordings, same_bytes
from datamodules.preview import write_contact_sheet
from datamodules.ravdess_clip import Face, Job, Settings, prepare_clip
from datamodules.store import DataError, Store, is_stand_in, plain
from datamodules.store_writer import StoreWriter

CLASS_NAMES = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
_NAME = re.compile(r"0[123]-0[12]-0[1-8]-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])")
_SUFFIXES = {"01": (".mp4",), "03": (".wav", ".flac")}
_MEDIA = {".mp4", ".wav", ".flac", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".ogg", ".mp3", ".m4a", ".flv"}


@dataclass
class Source:
    """What a folder holds.

    Attributes:
        jobs: The clips, and the files that are none with the reason why, sorted by id.
        video: Whether the clips have video.
        ignored: Files that were skipped on purpose: number by kind.
    """

    jobs: list[Job]
    video: bool
    ignored: dict[str, int] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    parser.add_argument("--landmarks", type=Path, metavar="DIR", help="OpenFace CSV files named like the clips")
    parser.add_argument(
        "--face",
        choices=["landmarks", "detector", "none"],
        help="where the face is (default: landmarks if there are any, else the built-in detector)",
    )
    parser.add_argument(
        "--landmark-rows",
        choices=["time", "paper"],
        default="time",
        help="which row of a landmark file a frame takes: the one nearest in time, or row ceil(i * rows / 30) as the "
        "code released with CFN-SR does",
    )
    parser.add_argument(
        "--landmark-confidence",
        type=float,
        default=CONFIDENCE,
        metavar="C",
        help=f"a row of less confidence holds no face (default: {CONFIDENCE})",
    )
    parser.add_argument("--margin", type=float, default=0.0, help="around the face, as a fraction of its box")
    parser.add_argument(
        "--crop",
        choices=["fullres", "squashed"],
        default="fullres",
        help="squashed: scale the whole frame first, as the code released with CFN-SR does",
    )
    parser.add_argument("--size", type=int, default=224, help="side of the crops in pixels")
    parser.add_argument("--audio", type=int, default=44100, metavar="HZ", help="sampling rate of the stored wave")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable clips")
    parser.add_argument("--preview", type=Path, metavar="FILE.png", help="write a contact sheet of the crops")


def scan(folder: Path) -> Source:
    """List the clips of a RAVDESS folder; one that comes twice, as in Kaggle's, is taken once.

    Raises:
        DataError: The folder is missing or holds no clip, or one recording is said to be of two actors or emotions.
    """
    if not folder.is_dir():
        raise DataError(f"--source {folder}: no such folder; docs/data.md says where to get RAVDESS.")
    files = [path for path in folder.rglob("*") if path.suffix.lower() in _MEDIA and not path.name.startswith(".")]
    ignored: dict[str, int] = {}
    clips: dict[str, dict[str, Job]] = {"01": {}, "03": {}}
    bad: list[Job] = []
    for path in sorted(files):
        stem, suffix, name = path.stem, path.suffix.lower(), plain(path.relative_to(folder).as_posix())
        modality, channel = stem[:2], stem[3:5]
        if not _NAME.fullmatch(stem):
            bad.append(Job(name, path, name, reason="not named like a RAVDESS clip"))
        elif channel == "02" or modality == "02":
            what = "songs" if channel == "02" else "video-only clips"
            ignored[what] = ignored.get(what, 0) + 1
        elif suffix not in _SUFFIXES[modality]:
            bad.append(Job(name, path, name, reason=f"modality {modality} in a {suffix} file"))
        elif stem in clips[modality] and same_bytes(clips[modality][stem].path, path):
            ignored["copies"] = ignored.get("copies", 0) + 1
        elif stem in clips[modality]:
            bad.append(Job(name, path, name, reason=f"same clip as {clips[modality][stem].name}"))
        else:
            clips[modality][stem] = Job(stem, path, name)
    chosen = clips["01"] or clips["03"]
    if not chosen:
        raise DataError(
            f"--source {folder}: no RAVDESS clip among {len(files)} media files; wanted are names like\n"
            "Actor_01/01-01-03-01-01-01-01.mp4, or 03-... .wav for audio alone (docs/data.md)."
        )
    if clips["01"] and clips["03"]:
        ignored["audio-only clips"] = len(clips["03"])
    jobs = sorted(chosen.values(), key=lambda job: job.id)
    check_recordings(((job.path, f"actor {job.id[-2:]}", job.id[6:8]) for job in jobs), folder)
    return Source(sorted([*jobs, *bad], key=lambda job: job.id), bool(clips["01"]), ignored)


def run(args: argparse.Namespace) -> int:
    """Prepare the corpus and return the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    began = time.monotonic()
    _check_options(args)
    source = scan(args.source)
    if args.preview and not source.video:
        raise DataError(f"--preview: {args.source} holds audio alone; leave the option out.")
    face, found = _face(args, source)
    rule = (args.landmark_rows, args.landmark_confidence)
    settings = Settings(source.video, face, args.margin, args.crop, args.size, args.audio, *rule)
    synthetic = is_stand_in(args.source, "ravdess")
    folder = corpus_root(args, "ravdess", synthetic=synthetic) / "prepared"
    print(f"{len(source.jobs)} clips, {found}")
    writer = StoreWriter(folder, settings.arrays, settings.manifest(), synthetic)
    write = partial(_write_clips, writer, source.jobs, settings, args.workers or os.cpu_count() or 1)
    if code := fill(writer, write, args, len(source.jobs), "clips", ("av", "numpy", "opencv-python-headless")):
        return code
    store = Store(folder)
    _print_summary(store, source, time.monotonic() - began)
    if args.preview:
        write_contact_sheet(store, args.preview, CLASS_NAMES)
        print(f"contact sheet: {args.preview}")
    return 0


def _check_options(args: argparse.Namespace) -> None:
    check_common(args)
    if args.size < 8:
        raise DataError(f"--size {args.size}: give at least 8 pixels.")
    if args.audio < 1000:
        raise DataError(f"--audio {args.audio}: give the rate in Hz, at least 1000.")
    if not 0 <= args.margin <= 2:
        raise DataError(f"--margin {args.margin}: give a fraction of the face box from 0 to 2.")
    if not 0 <= args.landmark_confidence <= 1:
        raise DataError(f"--landmark-confidence {args.landmark_confidence}: give a number from 0 to 1.")
    if args.landmarks and args.face in ("detector", "none"):
        raise DataError(f"--landmarks and --face {args.face} exclude each other; leave one out.")
    if args.landmarks and not args.landmarks.is_dir():
        raise DataError(f"--landmarks {args.landmarks}: no such folder.")


def _face(args: argparse.Namespace, source: Source) -> tuple[Face, str]:
    """Decide where the faces come from, hand the landmark files to the jobs, and say so."""
    if not source.video:
        return "none", "audio alone"
    folder = args.landmarks or args.source / "landmarks"
    if args.face == "none":
        return "none", "whole frames"
    if args.face == "detector" or (args.face is None and not folder.is_dir()):
        return "detector", "faces from the built-in detector"
    files = one_of_each(path for path in sorted(folder.rglob("*.csv")) if not path.name.startswith("."))
    if not files:
        raise DataError(f"--face landmarks: no CSV file in {folder}; name their folder with --landmarks DIR.")
    tell_unmatched(str(folder), files, {job.id for job in source.jobs if not job.reason}, "clip", "landmark file")
    source.jobs = [replace(job, landmarks=files.get(job.id)) for job in source.jobs]
    return "landmarks", f"faces from the landmarks in {folder}"


def _write_clips(writer: StoreWriter, jobs: Sequence[Job], settings: Settings, workers: int) -> None:
    known = [job for job in jobs if job.id in writer.done]
    with ThreadPoolExecutor() as threads:
        hashes = dict(zip([job.id for job in known], threads.map(Job.sha256, known), strict=True))
    writer.check_sources([job.id for job in jobs], hashes)
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} clips")
    todo = jobs[len(writer.done) :]
    results = ordered(partial(prepare_clip, settings=settings), todo, workers)
    with closing(results), tqdm(total=len(jobs), initial=len(writer.done), unit="clip", disable=None) as bar:
        for job, result in zip(todo, results, strict=True):
            if result.reason:
                writer.skip(job.id, job.name, result.reason, result.sha256)
            else:
                emotion, actor = int(job.id[6:8]), job.id[-2:]
                writer.add(job.id, actor, emotion - 1, result.arrays, result.sha256, result.padded)
            bar.update()


def _print_summary(store: Store, source: Source, seconds: float) -> None:
    counts = store.manifest["counts"]
    size = sum(array["bytes"] for array in store.manifest["arrays"].values()) / 1e6
    ignored = "".join(f", {count} {what} ignored" for what, count in source.ignored.items())
    print(
        f"{counts['used']} clips used, {counts['skipped']} skipped, {counts['padded']} padded{ignored}; "
        f"{size:.0f} MB in {seconds:.0f} s; fingerprint {store.fingerprint[:12]}"
        f"{' (SYNTHETIC)' * store.synthetic}; {store.folder}"
    )
