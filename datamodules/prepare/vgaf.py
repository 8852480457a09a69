"""VGAF (EmotiW 2023): videos -> tensors of frames and spectrograms, or an index of tensors made elsewhere.

Tensors go into the layout of the released code (`datamodules.vgaf_layout`), which says nothing of how they were made:
frames at the middles of equal segments, whole, squashed to a square; spectrograms as in `datamodules.spectrogram`. PNG
frames of synthetic clips (`synth vgaf-frames`) in ``<source>/Synthetic`` become tensors too; they have no sound of
their own and are given that of a training clip of the same class, as the authors do.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datamodules.matches import tell_counts, tell_unmatched
from datamodules.parallel import ordered
from datamodules.prepare._fill import check_common, corpus_root, fill
from datamodules.prepare._vgaf_clip import Job, Settings, prepare_clip
from datamodules.prepare._vgaf_synthetic import copy_file, finish_synthetic, synthetic_jobs
from datamodules.store import DataError, Store, is_stand_in, plain, read_own_table
from datamodules.store_writer import StoreWriter
from datamodules.vgaf_layout import SETS, SPLITS, folder_number, real_folder, split_labels

SIZES, STAND_IN_SIZES = (224, 128), (32, 106)  # pixels of a frame; of a spectrogram, 106 being the least for the model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this corpus."""
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[5], metavar="N", help="5, 75 or both: frames per clip (default: 5)"
    )
    parser.add_argument("--size", type=int, help="side of the frames in pixels (default: 224; of a stand-in 32)")
    parser.add_argument(
        "--fit",
        choices=["squash", "letterbox"],
        default="squash",
        help="how a frame becomes a square (default: squash)",
    )
    parser.add_argument(
        "--dtype",
        choices=["uint8", "float32"],
        default="uint8",
        help="of the frames (default: uint8, a quarter the size)",
    )
    parser.add_argument(
        "--spectrogram-size", type=int, help="mel bands and steps (default: 128; of a stand-in 106; at least 106)"
    )
    parser.add_argument(
        "--synthetic", type=Path, metavar="DIR", help="PNG frames of synthetic clips (default: DIR/Synthetic if there)"
    )
    parser.add_argument("--seed", type=int, default=2023, help="of the draw of their sounds (default: 2023)")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable clips")


def scan(folder: Path, out: Path, number: int) -> list[Job]:
    """Lists the videos of a VGAF folder, train first, in the order of their names, and tells what lacks its other half.

    Args:
        folder: Holds ``Train``, ``Val`` and their label files.
        out: The corpus folder to fill.
        number: 5 or 75: which folder of tensors.

    Raises:
        DataError: The folder or a label file is missing or wrong, a clip is in both splits, or there is no video.
    """
    jobs: list[Job] = []
    found, copies = 0, Counter[str]()
    for split, labels in split_labels(folder, copies).items():
        videos = {
            path.name.removesuffix(".mp4"): path for path in (folder / split).glob("*.mp4") if path.name[0] != "."
        }
        found += len(videos)
        tell_unmatched(split, labels, videos)
        for name in sorted(labels.keys() | videos.keys()):
            path = videos.get(name, folder / split / f"{name}.mp4")
            reason = "" if name in labels else f"no label in {split}_labels.txt"
            target = real_folder(out, number) / split / f"{name}.mp4"
            place = plain(path.relative_to(folder).as_posix())
            jobs.append(Job(plain(f"{split}/{name}"), labels.get(name, 0), path, place, target, reason=reason))
    if not found:
        raise DataError(f"--source {folder}: no .mp4 in {folder / 'Train'} or {folder / 'Val'}; see docs/data.md")
    tell_counts(copies)
    return jobs


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and returns the exit code.

    Raises:
        DataError: The source or an option is wrong, or the tensors were made otherwise.
    """
    began, source = time.monotonic(), args.source
    _check_options(args)
    if not source.is_dir():
        raise DataError(f"--source {source}: no such folder; docs/data.md says where to get VGAF")
    synthetic = is_stand_in(source, "vgaf")
    if not any((source / split).is_dir() for split in SPLITS):
        return _index_alone(args, synthetic=synthetic)
    out = corpus_root(args, "vgaf", synthetic=synthetic)
    sizes = STAND_IN_SIZES if synthetic else SIZES
    size, spectrogram = args.size or sizes[0], args.spectrogram_size or sizes[1]
    for frames in sorted(set(args.frames)):
        settings = Settings(frames, size, args.fit, args.dtype, spectrogram, args.seed)
        code = _make(args, out, settings, synthetic=synthetic)
        if code:
            return code
    return _finish(out, began, synthetic=synthetic)


def _check_options(args: argparse.Namespace) -> None:
    check_common(args)
    if min(args.frames) < 1:
        raise DataError(f"--frames {min(args.frames)}: at least 1")
    if args.size is not None and args.size < 16:
        raise DataError(f"--size {args.size}: give at least 16 pixels")
    if args.spectrogram_size is not None and args.spectrogram_size < 106:
        raise DataError(f"--spectrogram-size {args.spectrogram_size}: the audio network needs at least 106")
    if args.seed < 0:
        raise DataError(f"--seed {args.seed}: a whole number from 0")
    if args.synthetic and not args.synthetic.is_dir():
        raise DataError(f"--synthetic {args.synthetic}: no such folder; `cli.py synth vgaf-frames` fills one")


def _index_alone(args: argparse.Namespace, *, synthetic: bool) -> int:
    """Indexes a folder of tensors where it is."""
    began, root = time.monotonic(), args.source
    if not any((root / name).is_dir() for name in SETS):
        raise DataError(
            f"--source {root}: neither videos (Train, Val) nor tensors (VGAF_Tensors_all_5) in it; see docs/data.md"
        )
    copies = Counter[str]()
    labels = split_labels(root, copies)
    if args.out and args.out.resolve() != root.resolve():
        raise DataError(f"--out {args.out}: tensors are indexed where they are, in {root}; leave the option out")
    for number in (5, 75):
        for split in SPLITS:
            place = real_folder(root, number) / split
            if place.is_dir():
                made = {path.name.partition(".mp4.")[0] for path in place.glob("[!.]*.mp4.*.pt")}
                tell_unmatched(f"{place.parent.name}/{split}", labels[split], made, "tensor")
    tell_counts(copies)
    return _finish(root, began, synthetic=synthetic)


def _make(args: argparse.Namespace, out: Path, settings: Settings, *, synthetic: bool) -> int:
    """Makes the tensors of one number of frames; returns the exit code."""
    number = folder_number([settings.frames])
    drawn = args.synthetic or args.source / "Synthetic"
    jobs = scan(args.source, out, number)
    if drawn.is_dir():
        jobs += synthetic_jobs(drawn, out, number)
    print(f"{len(jobs)} clips, {sum(job.synthetic for job in jobs)} of them synthetic, {settings.frames} frames each")
    folder = out / "prepared" / f"frames-{settings.frames}"
    if not folder.exists() and (there := [path for job in jobs if (path := job.file("img", settings.frames)).exists()]):
        raise DataError(
            f"{there[0]} is there, one of {len(there)} that this command did not make.\n"
            "Delete them to make them anew, or write elsewhere with --out"
        )
    writer = StoreWriter(folder, {}, settings.manifest(), synthetic, columns=("part",))

    def complete() -> None:
        used = {row["id"] for row in writer.rows}
        kept = [job for job in jobs if job.id in used]
        _check_written(kept, settings, folder)
        for split in SPLITS:
            copy_file(args.source / f"{split}_labels.txt", out / f"{split}_labels.txt")
        if drawn.is_dir():
            finish_synthetic(kept, drawn, out, settings)

    write = partial(_write_clips, writer, jobs, settings, args.workers or os.cpu_count() or 1)
    packages = ("av", "numpy", "opencv-python-headless", "torch")
    return fill(writer, write, args, len(jobs), "clips", packages, last=complete)


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
            part, name = job.id.split("/", 1)
            if result.reason:
                writer.skip(job.id, job.name, result.reason, result.sha256)
            else:
                writer.add(job.id, name, job.label, {}, result.sha256, columns={"part": part})
            bar.update()


def _check_written(jobs: Sequence[Job], settings: Settings, folder: Path) -> None:
    for job in jobs:
        for path in job.files(settings):
            if not path.is_file() and not (job.synthetic and ".spec." in path.name):
                raise DataError(
                    f"{path} was made and is gone; delete {folder} and {path.parent.parent} and run the same again"
                )
    for place in {job.target.parent for job in jobs}:
        for path in place.glob(".*.tmp"):  # of a worker that was killed
            path.unlink()


def _finish(root: Path, began: float, *, synthetic: bool) -> int:
    """Writes the index of everything below the corpus folder and says what there is."""
    from datamodules.vgaf_tensors import read_index, write_index  # torch

    sets: dict[str, Any] = {}
    for folder in sorted((root / "prepared").glob("frames-*")):
        if not (folder / "COMPLETE").exists():
            continue
        store = Store(folder)
        frames = store.manifest["settings"]["frames"]
        sets[str(frames)] = {
            "folder": folder_number([frames]),
            "settings": store.manifest["settings"],
            "counts": store.manifest["counts"],
            "skipped": [row["id"] for row in read_own_table(folder / "skipped.csv")],
            "versions": store.manifest["versions"],
        }
        if store.synthetic != synthetic:
            raise DataError(f"{root} holds a stand-in and real clips; write elsewhere with --out")
    manifest = write_index(root, synthetic=synthetic, about={"sets": sets})
    assert read_index(root) is not None
    said = ", ".join(
        f"{made['counts']['used']} clips of {frames} frames ({made['counts']['skipped']} skipped)"
        for frames, made in sets.items()
    )
    print(
        f"{said or 'tensors made elsewhere'}: {manifest['tensors']} tensors in {time.monotonic() - began:.0f} s; "
        f"fingerprint {manifest['fingerprint'][:12]}{' (SYNTHETIC)' * synthetic}; {root}"
    )
    return 0
