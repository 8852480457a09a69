"""The base of every stand-in: it has a seed and a size, is marked as one, and is never mixed with other files.

The file ``SYNTHETIC`` says who made it, seed and clips, and until the last file is written that it is incomplete.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atomic_files import write_atomic
from datamodules.errors import DataError
from datamodules.reading.stand_in import STAND_IN, UNFINISHED


@dataclass(frozen=True)
class StandIn:
    """A stand-in corpus as the command line asks for it.

    Attributes:
        out: Folder to fill.
        seed: Seed of all that is drawn.
        clips: Number of clips.
        workers: Processes; None for all cores.
        request: What ``SYNTHETIC`` says when it is whole.
        began: When the command began.
    """

    out: Path
    seed: int
    clips: int
    workers: int | None
    request: str
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def from_options(
        cls, args: argparse.Namespace, corpus: str, version: int, clips: int, least: int, most: int, more: str = ""
    ) -> "StandIn":
        """Return the stand-in that the options of the command line ask for.

        Args:
            args: ``out``, ``seed``, ``clips`` and, where the corpus is written by several processes, ``workers``.
            corpus: Its name.
            version: Of the drawings; raised when the bytes change.
            clips: Their number where it is not asked for.
            least: Their least number.
            most: Their greatest number.
            more: What else the bytes depend on.

        Raises:
            DataError: An option is out of range.
        """
        count, seed = clips if args.clips is None else args.clips, args.seed or 0
        workers = getattr(args, "workers", None)
        if not least <= count <= most:
            raise DataError(f"--clips {count}: give a number from {least} to {most}")
        if workers is not None and workers < 1:
            raise DataError(f"--workers {workers}: at least 1")
        request = f"affectzoo synth {corpus}, version {version}, seed {seed}, clips {count}{more}"
        return cls(args.out or Path("data", "synthetic", corpus), seed, count, workers, request)

    def is_complete(self) -> bool:
        """Return whether the folder holds this stand-in, complete.

        Raises:
            DataError: It holds another stand-in, or something that is none.
        """
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
    def writing(self) -> Iterator[None]:
        """Mark the folder as incomplete on the way in, as whole on the way out.

        Raises:
            DataError: A file cannot be written.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            write_atomic(self.out / STAND_IN, f"{self.request}{UNFINISHED}\n")
            yield
            write_atomic(self.out / STAND_IN, f"{self.request}\n")
        except OSError as error:
            raise DataError(
                f"cannot write {error.filename or self.out}: {error.strerror}; the same command carries on"
            ) from None

    def report_existing(self, unit: str) -> int:
        """Print that nothing was left to do.

        Args:
            unit: What a clip is called, in the plural.

        Returns:
            The exit code.
        """
        print(f"{self.out}: {self.clips} {unit} are there already (seed {self.seed})")
        return 0

    def report(self, unit: str, existing: int = 0) -> int:
        """Print what was written.

        Args:
            unit: What a clip is called, in the plural.
            existing: How many were there before.

        Returns:
            The exit code.
        """
        of_them = f", {existing} of them kept" if existing else ""
        seconds = time.monotonic() - self.began
        print(f"{self.out}: {self.clips} {unit}{of_them}, seed {self.seed}, {seconds:.0f} s. SYNTHETIC: no real person")
        return 0


def rng_of(*what: object) -> np.random.Generator:
    """Return a generator that depends only on the key."""
    key = "/".join(map(str, what))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
