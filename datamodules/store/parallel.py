"""Work on many files in several processes, with the results in the order of the files."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

import cv2

from datamodules.errors import DataError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def start_worker() -> None:
    """Prepare a process of a pool: one thread of OpenCV, deaf to Ctrl-C, dead when its parent is."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent winds up
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A parent that was killed leaves its workers waiting for work for ever.
    threading.Thread(target=follow, daemon=True).start()


def ordered(function: Callable[[_Job], _Result], jobs: Sequence[_Job], workers: int) -> Generator[_Result, None, None]:
    """Yield ``function(job)`` for every job in order; at most two results per worker are held back.

    Args:
        function: A module-level function or a partial of one; must not raise.
        jobs: What to work on.
        workers: Number of processes of one thread each; 1 works in this process.

    Raises:
        DataError: A worker was killed from outside.
    """
    if min(workers, len(jobs)) <= 1:
        cv2.setNumThreads(1)
        yield from map(function, jobs)
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn"), initializer=start_worker)
    pending: deque[Future[_Result]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(function, job))
            if len(pending) >= 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a worker process was killed, perhaps for lack of memory.\n"
            "Run the same command again with fewer --workers; it carries on."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
