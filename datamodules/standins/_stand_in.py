"""How every stand-in is written: from a seed and a size, marked as one, never mixed with other files.

A stand-in is a list of parts: files, and what makes them. The file ``SYNTHETIC`` says who made it, seed and clips, and
until the last file is in place that it is incomplete. Until then all files lie in ``.partial``, no media file by their
suffix, so that a part is never taken for the whole; the same command carries on.
"""

import argparse
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.stand_in import STAND_IN, UNFINISHED
from datamodules.store.parallel import ordered

PARTIAL, PART = ".partial", ".part"  # folder and suffix of the files until all are there
Content = str | bytes


class Part(NamedTuple):
    """Files that are made together."""

    files: tuple[str, ...]  # paths inside the corpus
    content: Content | Callable[[], Content | tuple[Content, ...]]  # or what returns it, in a process of its own


@dataclass(frozen=True)
class StandIn:
    """A stand-in corpus as the command line asks for it.

    Attributes:
        corpus: Its name.
        out: Folder to fill.
        seed: Seed of all that is drawn.
        clips: Number of clips.
        workers: Processes.
        request: What ``SYNTHETIC`` says when it is whole.
    """

    corpus: str
    out: Path
    seed: int
    clips: int
    workers: int
    request: str

    @classmethod
    def from_options(
        cls, args: argparse.Namespace, corpus: str, version: int, clips: int, least: int, most: int, more: str = ""
    ) -> "StandIn":
        """Return the stand-in that the options of the command line ask for.

        Args:
            args: ``out``, ``seed``, ``clips`` and ``workers``.
            corpus: Its name.
            version: Of the drawings; raised when the bytes change.
            clips: Their number where it is not asked for.
            least: Their least number.
            most: Their greatest number.
            more: What else the bytes depend on.

        Raises:
            DataError: An option is out of range.
        """
        count = clips if args.clips is None else args.clips
        if not least <= count <= most:
            raise DataError(f"--clips {count}: give a number from {least} to {most}")
        if args.workers < 1:
            raise DataError(f"--workers {args.workers}: at least 1")
        request = f"affectzoo synth {corpus}, version {version}, seed {args.seed}, clips {count}{more}"
        return cls(corpus, args.out, args.seed, count, args.workers, request)

    def write(self, unit: str, clips: Sequence[Part], others: Sequence[Part] = ()) -> int:
        """Write the files, or what is missing of them, and print what was done.

        Args:
            unit: What a clip is called, in the plural.
            clips: A part a clip, where clips have files of their own.
            others: Other files.

        Returns:
            The exit code.

        Raises:
            DataError: The folder holds something else, or cannot be written.
        """
        began, complete = time.monotonic(), self._is_complete()
        missing = [part for part in (*clips, *others) if not self._holds(part)]
        kept = sum(map(self._holds, clips))
        if complete and not missing:
            print(f"{self.out}: {self.clips} {unit} are there already (seed {self.seed})")
            return 0
        with self._marked():
            work = ordered(partial(_write, stage=self.out / PARTIAL), missing, self.workers)
            for _ in tqdm(work, f"synth {self.corpus}", len(missing), unit="part", disable=None):
                pass
            for file in (file for part in (*clips, *others) for file in part.files):
                if (made := self._staged(file)).exists():
                    (self.out / file).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(made, self.out / file)
            shutil.rmtree(self.out / PARTIAL, ignore_errors=True)
        of_them = f", {kept} of them kept" if kept else ""
        seconds = time.monotonic() - began
        print(f"{self.out}: {self.clips} {unit}{of_them}, seed {self.seed}, {seconds:.0f} s. SYNTHETIC: no real person")
        return 0

    def _staged(self, file: str) -> Path:
        return self.out / PARTIAL / f"{file}{PART}"

    def _holds(self, part: Part) -> bool:
        places = [(self.out / file, self._staged(file)) for file in part.files]
        return all(any(path.is_file() and path.stat().st_size for path in pair) for pair in places)

    def _is_complete(self) -> bool:
        """Return whether the folder is marked as this stand-in, complete; refuse one that holds something else."""
        marker = self.out / STAND_IN
        if self.out.exists() and not self.out.is_dir():
            raise DataError(f"--out {self.out} is a file: name a folder")
        if marker.is_file():
            found = marker.read_text(encoding="utf-8", errors="replace").strip()
            if found.removesuffix(UNFINISHED) != self.request:
                raise DataError(
                    f"{self.out} holds another corpus ({found}; asked: {self.request}).\n"
                    "Delete the folder or give another with --out"
                )
            return found == self.request
        if other := min((path.name for path in self.out.glob("*")), default=None):
            raise DataError(
                f"{self.out} holds {other} but no {STAND_IN} file: it may be the real corpus.\n"
                "Nothing was written: give another folder with --out"
            )
        return False

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Mark the folder as incomplete on the way in, as whole on the way out."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            write_atomic(self.out / STAND_IN, f"{self.request}{UNFINISHED}\n")
            yield
            write_atomic(self.out / STAND_IN, f"{self.request}\n")
        except OSError as error:
            raise DataError(
                f"cannot write {error.filename or self.out}: {error.strerror}; the same command carries on"
            ) from None


def _write(part: Part, stage: Path) -> None:
    made = part.content() if callable(part.content) else part.content
    for file, content in zip(part.files, made if isinstance(made, tuple) else (made,), strict=True):
        write_atomic(stage / f"{file}{PART}", content, sync=False)


def table(header: str, rows: Sequence[str]) -> str:
    """Return the lines of a table as the text of a file."""
    return "\n".join([header, *rows]) + "\n"


def rng_of(*what: object) -> np.random.Generator:
    """Return a generator that depends only on the key."""
    key = "/".join(map(str, what))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
