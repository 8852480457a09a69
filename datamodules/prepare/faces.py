"""Ten emotion corpora in their own label formats (or any other with an index.csv) -> one store of faces.

DIR holds one folder per corpus: recola, sewa, semaine, afew_va, affectnet, savee, emotic, expw, fer_plus, raf_db; any
other folder with an ``index.csv`` is taken by that, and so is one of the ten that has one. Labels, splits and what each
corpus takes for a face follow Dresvyanskiy et al. (SPECOM 2024).
"""

import argparse
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.near_duplicates import left_out
from datamodules.parallel import ordered
from datamodules.prepare._face_corpora import CORPORA, Corpus, index
from datamodules.prepare._face_index import SPLITS, Files, Still, assign_splits, once
from datamodules.prepare._face_pictures import ARRAYS, Settings, file_hash, prepare_stills, source_hash
from datamodules.prepare._fill import check_common, corpus_root, fill
from datamodules.recordings import check_recordings
from datamodules.store import DataError, Store, is_stand_in
from datamodules.store_writer import StoreWriter

FRAMES_A_JOB = 32  # of one video


@dataclass
class Source:
    """What a folder holds.

    Attributes:
        stills: Sorted by id.
        corpora: Names of the corpora found.
        ignored: Files that were skipped on purpose: number by kind.
    """

    stills: list[Still]
    corpora: list[str]
    ignored: Counter[str] = field(default_factory=Counter)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this corpus."""
    parser.add_argument("--size", type=int, default=240, help="side of the letter-boxed faces in pixels")
    parser.add_argument(
        "--margin", type=int, default=10, metavar="PX", help="around a box in a larger picture, in its pixels"
    )
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help="accept N unusable stills")
    parser.epilog = (
        f"DIR holds a folder per corpus, some or all of {', '.join(sorted(CORPORA))}, or others with an index.csv; "
        "docs/data.md says what is in them."
    )


def scan(folder: Path) -> Source:
    """Read the label files of every corpus in a folder.

    Raises:
        DataError: The folder is missing, holds no corpus, or a label file is not as it should be.
    """
    if not folder.is_dir():
        raise DataError(f"--source {folder}: no such folder; docs/data.md says where to get the emotion corpora.")
    source = Source([], [])
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if place.name == "prepared":
            continue  # the store of this folder, which has an index.csv of its own
        corpus = Corpus(index) if (place / "index.csv").is_file() else CORPORA.get(place.name)
        if corpus is None:
            continue
        if not re.fullmatch(r"[a-z0-9_]+", place.name):
            raise DataError(f"{place}: name the folder of a corpus by a-z, 0-9 and _ alone.")
        files = Files(place)
        stills = once(corpus.parse(files, source.ignored), source.ignored)
        files.tell_unmatched(stills)
        # A box says who of several people it is; pictures of nobody named are compared by what they show, later.
        named = [one for one in stills if one.subject and one.box is None and not one.reason]
        check_recordings(
            ((one.path, one.subject, one.category if one.time is not None else None) for one in named), folder
        )
        if not stills:
            raise DataError(f"{place}: no usable row; docs/data.md says what the folder of a corpus holds.")
        source.stills += assign_splits(stills, corpus.shares)
        source.corpora.append(place.name)
    if not source.corpora:
        raise DataError(
            f"--source {folder}: no corpus in it; wanted are folders named {', '.join(sorted(CORPORA))},\n"
            "or any folder with an index.csv (docs/data.md)."
        )
    source.stills.sort(key=lambda still: still.id)
    return source


def jobs_of(stills: Sequence[Still]) -> list[list[Still]]:
    """Stills that are best read together: frames of one video, some at a time; pictures alone."""
    jobs: list[list[Still]] = []
    for _, group in groupby(enumerate(stills), key=lambda at: at[0] if at[1].time is None else at[1].path):
        together = [still for _, still in group]
        jobs += [together[i : i + FRAMES_A_JOB] for i in range(0, len(together), FRAMES_A_JOB)]
    return jobs


def run(args: argparse.Namespace) -> int:
    """Prepare the corpora and return the exit code.

    Raises:
        DataError: The source or an option is wrong, or the store was made otherwise.
    """
    began = time.monotonic()
    _check_options(args)
    synthetic = is_stand_in(args.source, "faces")
    source = scan(args.source)
    settings = Settings(args.size, args.margin)
    folder = corpus_root(args, "faces", synthetic=synthetic) / "prepared"
    print(f"{len(source.stills)} stills of {', '.join(source.corpora)}")
    writer = StoreWriter(folder, ARRAYS, settings.manifest(), synthetic)
    write = partial(_write_stills, writer, source, settings, args.workers or os.cpu_count() or 1)
    packages = ("av", "numpy", "opencv-python-headless", "pillow")
    if code := fill(writer, write, args, len(source.stills), "stills", packages):
        return code
    _print_summary(Store(folder), source, time.monotonic() - began)
    return 0


def _check_options(args: argparse.Namespace) -> None:
    check_common(args)
    if args.size < 8:
        raise DataError(f"--size {args.size}: give at least 8 pixels.")
    if args.margin < 0:
        raise DataError(f"--margin {args.margin}: give a number of pixels, at least 0.")


def _write_stills(writer: StoreWriter, source: Source, settings: Settings, workers: int) -> None:
    stills = source.stills
    known = [still for still in stills if still.id in writer.done]
    paths = sorted({still.path for still in known})
    with ThreadPoolExecutor() as threads:
        of_file = dict(zip(paths, threads.map(file_hash, paths), strict=True))
    writer.check_sources(
        [still.id for still in stills], {still.id: source_hash(still, of_file[still.path]) for still in known}
    )
    if writer.complete:
        return
    if writer.done:
        print(f"carrying on after {len(writer.done)} stills")
    jobs = jobs_of(stills[len(writer.done) :])
    results = ordered(partial(prepare_stills, settings=settings), jobs, workers)
    with closing(results), tqdm(total=len(stills), initial=len(writer.done), unit="still", disable=None) as bar:
        for job, prepared in zip(jobs, results, strict=True):
            for still, result in zip(job, prepared, strict=True):
                if result.reason:
                    name = os.path.relpath(still.path, source_root(still))
                    writer.skip(still.id, name, result.reason, result.sha256)
                else:
                    writer.add(still.id, still.group, still.category, result.arrays, result.sha256)
                bar.update()


def source_root(still: Still) -> Path:
    """The folder that holds the folder of a still's corpus."""
    return next((path.parent for path in still.path.parents if path.name == still.corpus), still.path.parent)


def _print_summary(store: Store, source: Source, seconds: float) -> None:
    splits = np.array([store.read("split", i)[0] for i in range(len(store))], np.int64)
    corpora = np.array([id.partition("/")[0] for id in store.ids])
    for corpus in source.corpora:
        counts = np.bincount(splits[corpora == corpus], minlength=len(SPLITS))
        print(f"  {corpus:<10} " + "  ".join(f"{name} {count}" for name, count in zip(SPLITS, counts, strict=True)))
    for what, count in sorted(source.ignored.items()):
        print(f"  {count} {what} left aside")
    thumbnails = np.stack([store.read("thumbnail", i) for i in range(len(store))])
    out = left_out(splits, thumbnails)
    train, val = (int(np.count_nonzero(out[splits == split])) for split in (0, 1))
    if train or val:
        print(f"  near-duplicates across splits: {train} of train and {val} of val will not be used")
    counts = store.manifest["counts"]
    size = sum(array["bytes"] for array in store.manifest["arrays"].values()) / 1e6
    print(
        f"{counts['used']} stills used, {counts['skipped']} skipped; {size:.0f} MB in {seconds:.0f} s; "
        f"fingerprint {store.fingerprint[:12]}{' (SYNTHETIC)' * store.synthetic}; {store.folder}"
    )
