"""Locks on folders: the kernel's, which end with their holder however it ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from datamodules.errors import Busy

NAME = "lock"
HANDED_ON = "AFFECTZOO_LOCKED"  # in a process's environment: the folder that whoever started it holds for it


def hold(folder: Path) -> FileLock:
    """Take the lock of a folder, which is made where there is none.

    Returns:
        The lock; it is held until its `release`, or until this process ends.

    Raises:
        Busy: If another process holds it.
        OSError: If the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / NAME, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Busy(str(folder)) from None
    return lock


def is_held_by_parent(folder: Path) -> bool:
    """Return whether whoever started this process holds the lock of a folder on its behalf."""
    return os.environ.get(HANDED_ON) == str(folder.resolve())


@contextlib.contextmanager
def wait_and_hold(folder: Path) -> Iterator[None]:
    """Wait until no other process is at work in a folder, and hold its lock."""
    with FileLock(folder / NAME, thread_local=False):
        yield
