"""What is taken of whom: one job at a time, few that wait, clips of some size and length, gone when they are read."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeVar

from datamodules.errors import MediaError
from datamodules.media.container import open_media
from experiments.errors import BusyError

T = TypeVar("T")
RATE = 60  # pictures a second of the longest clip


@dataclass(frozen=True)
class Limits:
    """What is taken.

    Attributes:
        megabytes: Of a clip.
        seconds: Of a clip.
        waiting: Requests that wait while one is answered; the next ones are told that all is busy.
        patience: Seconds for which a request is uploaded, and for which it waits for its answer.
        kept: Seconds for which a clip's pictures and sound are kept in memory, so that it can be asked about again.
        held: Megabytes of these in all.
    """

    megabytes: int = 100
    seconds: float = 120.0
    waiting: int = 16
    patience: float = 120.0
    kept: float = 900.0
    held: int = 256


class Desk:
    """One job at a time, in a thread of its own; few wait.

    No thread can be ended from outside: while a job goes on that nobody waits for any longer, all others are told.

    Args:
        waiting: How many.
    """

    def __init__(self, waiting: int) -> None:
        self.worker = ThreadPoolExecutor(1, "answers")
        self._places = BoundedSemaphore(waiting + 1)
        self._late: Future[Any] | None = None

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the line.

        Raises:
            BusyError: All are taken, or a job goes on that has had its time.
        """
        if self._late is not None and not self._late.done():
            raise BusyError("busy with a clip that takes too long; try again in a minute")
        if not self._places.acquire(blocking=False):
            raise BusyError("busy: as many as may wait are waiting; try again in some seconds")
        try:
            yield
        finally:
            self._places.release()

    async def done(self, job: Callable[[], T], patience: float) -> T:
        """Return what a job returns, as `result` does, while the loop of events goes on.

        Raises:
            TimeoutError: It has not after so many seconds.
        """
        submitted = self.submit(job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(submitted), patience)
        except TimeoutError:
            self._give_up(submitted)
            raise

    def result(self, job: Callable[[], T], patience: float) -> T:
        """Return what a job returns.

        Raises:
            TimeoutError: It has not after so many seconds.
        """
        submitted = self.submit(job)
        try:
            return submitted.result(patience)
        except TimeoutError:
            self._give_up(submitted)
            raise

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Have a job done after those that were there before."""
        return self.worker.submit(job)

    def _give_up(self, submitted: "Future[Any]") -> None:
        """Have a job not begun, or remember that it goes on."""
        if not submitted.cancel() and submitted.running():
            self._late = submitted


def check_length(path: Path, most: float) -> float:
    """Return the seconds of a film or sound, by its packets; 0 of a picture.

    What browsers record does not say how long it is, and what others say need not be true. Films of more pictures than
    cameras take are refused: a megabyte can hold so many that are all the same that to decode them takes an hour.

    Raises:
        MediaError: It is no media file, longer, or of more pictures.
    """
    last, pictures = 0.0, 0
    with open_media(path) as file:
        packets: Any = file.demux(*file.streams.video, *file.streams.audio)
        try:
            for packet in packets:
                pictures += packet.stream.type == "video"
                if pictures > most * RATE:
                    raise MediaError(path, f"has more than {most * RATE:.0f} pictures, the most that are taken here")
                if packet.pts is not None and packet.time_base:
                    last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if last > most:
                    raise MediaError(path, f"lasts longer than {most:.0f} s, which is the most that is taken here")
        except OSError:  # the decoder tells what is wrong with it
            pass
    return last
