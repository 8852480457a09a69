"""How every stand-in is written: from a seed and a size, marked as one, never mixed with other files.

A stand-in is a list of parts: files, and what makes them. The file ``SYNTHETIC`` says who made it, seed and clips, and
until the last file is in place that it is incomplete. Until then all files lie in ``.partial``, no media file by their
suffix, so that a part is never taken for the whole; the same command carries on.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.stand_in import STAND_IN, UNFINISHED
from datamodules.store.parallel import ordered

Content = str | bytes


class Part(NamedTuple):
    """Files that are made together, and their content or what returns it, perhaps in another process."""

    files: tuple[str, ...]  # paths inside the corpus
    content: Content | tuple[Content, ...] | Callable[[], Content | tuple[Content, ...]]
    clip: bool = False  # whether they are those of a clip


@dataclass(frozen=True)
class StandIn:
    """A stand-in corpus.

    Attributes:
        corpus: Its name.
        version: Of the drawings; raised when the bytes change.
        unit: What a clip is called, in the plural.
        clips: Their number where it is not asked for, their least and their greatest number.
        plan: Yields the parts of so many clips of a seed, in the order in which they are made.
        about: What ``--help`` says of it.
        more: What else the bytes depend on.
    """

    corpus: str
    version: int
    unit: str
    clips: tuple[int, int, int]
    plan: Callable[[int, int], Iterable[Part]]
    about: str
    more: str = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe this corpus; it has no options beyond the common ones."""
        parser.epilog = self.about

    def run(self, args: argparse.Namespace) -> int:
        """Write the corpus, or what is missing of it, print what was done and return the exit code.

        Args:
            args: ``out``, ``seed``, ``clips`` and ``workers`` of the command line.

        Raises:
            DataError: An option is out of range, or the folder holds something else or cannot be written.
        """
        began, (count, least, most) = time.monotonic(), self.clips
        count = count if args.clips is None else args.clips
        if not least <= count <= most:
            raise DataError(f"--clips {count}: give a number from {least} to {most}")
        if args.workers < 1:
            raise DataError(f"--workers {args.workers}: at least 1")
        request = f"affectzoo synth {self.corpus}, version {self.version}, seed {args.seed}, clips {count}{self.more}"
        out, stage, parts = args.out, args.out / ".partial", list(self.plan(count, args.seed))
        staged = {file: stage / f"{file}.part" for part in parts for file in part.files}

        def is_there(part: Part) -> bool:
            places = ((out / file, staged[file]) for file in part.files)
            return all(any(path.is_file() and path.stat().st_size for path in pair) for pair in places)

        complete, missing = _is_complete(out, request), [part for part in parts if not is_there(part)]
        kept = sum(part.clip for part in parts) - sum(part.clip for part in missing)
        if complete and not missing:
            print(f"{out}: {count} {self.unit} are there already (seed {args.seed})")
            return 0
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_atomic(out / STAND_IN, f"{request}{UNFINISHED}\n")
            work = ordered(partial(_write, stage=stage), missing, args.workers)
            for _ in tqdm(work, f"synth {self.corpus}", len(missing), unit="part", disable=None):
                pass
            for file, made in staged.items():
                if made.exists():
                    (out / file).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(made, out / file)
            shutil.rmtree(stage, ignore_errors=True)
            write_atomic(out / STAND_IN, f"{request}\n")
        except OSError as error:
            raise DataError(
                f"cannot write {error.filename or out}: {error.strerror}; the same command carries on"
            ) from None
        of_them, seconds = f", {kept} of them kept" if kept else "", time.monotonic() - began
        print(f"{out}: {count} {self.unit}{of_them}, seed {args.seed}, {seconds:.0f} s. SYNTHETIC: no real person")
        return 0


def _is_complete(out: Path, request: str) -> bool:
    """Return whether a folder is marked as this stand-in, complete; refuse one that holds something else."""
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file: name a folder")
    if (out / STAND_IN).is_file():
        found = (out / STAND_IN).read_text(encoding="utf-8", errors="replace").strip()
        if found.removesuffix(UNFINISHED) != request:
            raise DataError(
                f"{out} holds another corpus ({found}; asked: {request}).\nDelete the folder or give another with --out"
            )
        return found == request
    if other := min((path.name for path in out.glob("*")), default=None):
        raise DataError(
            f"{out} holds {other} but no {STAND_IN} file: it may be the real corpus.\n"
            "Nothing was written: give another folder with --out"
        )
    return False


def _write(part: Part, stage: Path) -> None:
    made = part.content() if callable(part.content) else part.content
    for file, content in zip(part.files, made if isinstance(made, tuple) else (made,), strict=True):
        write_atomic(stage / f"{file}.part", content, sync=False)


def table(header: str, rows: Sequence[str]) -> str:
    """Return the lines of a table as the text of a file."""
    return "\n".join([header, *rows]) + "\n"
