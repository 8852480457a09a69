"""Ways to damage any file, for test_hostile.py and the tables of its cases beside this file."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Damage = Callable[[Path], None]


def content(data: bytes) -> Damage:
    """A file that holds something else."""

    def damage(path: Path) -> None:
        remove(path)
        path.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    """A file whose end is missing."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def overwritten(marker: bytes, data: bytes, skip: int = 0) -> Damage:
    """A file with some bytes behind a marker replaced."""

    def damage(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        place = whole.index(marker) + len(marker) + skip
        whole[place : place + len(data)] = data
        path.write_bytes(whole)

    return damage


def linked(target: str) -> Damage:
    """A link in the place of a file."""

    def damage(path: Path) -> None:
        remove(path)
        path.symlink_to(target)

    return damage


def remove(path: Path) -> None:
    """Nothing where a file was."""
    path.unlink()


def folder(path: Path) -> None:
    """A folder where a file was."""
    remove(path)
    path.mkdir()


def fifo(path: Path) -> None:
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    remove(path)
    os.mkfifo(path)


def scattered(path: Path) -> None:
    """One byte in fifty replaced behind the first kilobyte."""
    whole = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(0)
    places = rng.integers(1024, len(whole), len(whole) // 50)
    whole[places] = rng.integers(0, 256, len(places))
    path.write_bytes(whole.tobytes())


def zipped(path: Path) -> None:
    """An archive under the name of a clip."""
    remove(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.mp4", bytes(1000))
