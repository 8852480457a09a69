"""Files that grow record by record and survive ``kill -9``: a log line follows the bytes of each record."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from datamodules.reading.plain_json import parse_json


class Journal:
    """A log of records, each of which appended bytes to some files.

    Opening reads what an earlier process left and changes nothing; `start` cuts the files back to the last
    whole record and opens them for more.

    Args:
        path: The log, one JSON value a line; the first line is the header.
        files: The files that grow.
        fits: Whether a record can be one of the caller's.

    Attributes:
        header: First line of the log, None in a new one.
        records: The whole records, in order.
        begun: Whether the log holds more than its header, also where a record did not pass the check.

    Raises:
        BlockingIOError: Another process has the log open.
        ValueError: A line of the log is none that was written here.
    """

    def __init__(self, path: Path, files: Sequence[Path], fits: Callable[[Any], bool]) -> None:
        self.path = path
        self.files = list(files)
        self.header: Any = None
        self.records: list[Any] = []
        self.begun = False
        self._ends: list[list[int]] = []
        self._positions: list[int] = []  # of the end of each line of the log
        self._open: list[IO[bytes]] = []
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path)) from None
        with contextlib.ExitStack() as undone:
            undone.callback(self._let_go)
            self._log = undone.enter_context(path.open("ab+"))
            self._read(fits)
            undone.pop_all()

    def _read(self, fits: Callable[[Any], bool]) -> None:
        """Read the records that an earlier process left."""
        self._log.seek(0)
        sizes = [file.stat().st_size if file.exists() else 0 for file in self.files]
        for number, line in enumerate(self._log, start=1):
            if not line.endswith(b"\n"):  # killed in the middle of a line
                break
            content = parse_json(line)
            whole = isinstance(content, dict) and (number == 1 or (self._is_entry(content) and fits(content["record"])))
            if not whole:
                raise ValueError(f"line {number} is none of its own")
            if self._positions:
                self.begun = True
                # After a power cut the log can be ahead of the bytes: such a record never happened.
                if any(end > size for end, size in zip(content["ends"], sizes, strict=True)):
                    break
                self.records.append(content["record"])
                self._ends.append(content["ends"])
            else:
                self.header = content
            self._positions.append(sum(self._positions[-1:]) + len(line))

    def _is_entry(self, content: dict[str, Any]) -> bool:
        """Return whether a line has a record and the length of every file after it."""
        ends = content.get("ends")
        return "record" in content and isinstance(ends, list) and [type(end) for end in ends] == [int] * len(self.files)

    @property
    def ends(self) -> list[int]:
        """Length of every file in bytes."""
        return self._ends[-1] if self._ends else [0] * len(self.files)

    def start(self, header: Any, keep: int | None = None) -> None:
        """Cut log and files back to the first `keep` records (default: all) and open them for more."""
        if not self.begun and header != self.header:  # of an empty log nothing is worth keeping
            self._positions = []
            self._log.truncate(0)
            self._write(header)
        self.header = header
        keep = len(self.records) if keep is None else keep
        del self.records[keep:], self._ends[keep:], self._positions[keep + 1 :]
        self._log.truncate(self._positions[-1])
        self._close_files()
        for path, end in zip(self.files, self.ends, strict=True):
            file = path.open("ab")
            file.truncate(end)
            self._open.append(file)

    def _write(self, content: Any) -> None:
        line = json.dumps(content).encode() + b"\n"
        self._log.write(line)
        self._log.flush()
        self._positions.append(sum(self._positions[-1:]) + len(line))

    def append(self, record: Any, chunks: Sequence[bytes]) -> None:
        """Append one chunk to each file, then log the record."""
        ends = [end + len(chunk) for end, chunk in zip(self.ends, chunks, strict=True)]
        for file, chunk in zip(self._open, chunks, strict=True):
            file.write(chunk)
            file.flush()
        self._write({"record": record, "ends": ends})
        self.records.append(record)
        self._ends.append(ends)

    def sync(self) -> None:
        """Force the files to disk."""
        for file in self._open:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close log and files; the work can be resumed later."""
        self._close_files()
        self._log.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._lock.is_locked:
            with contextlib.suppress(OSError):  # some systems remove no open file
                Path(self._lock.lock_file).unlink()  # while it is held: who opened it meanwhile finds it gone
            self._lock.release()

    def _close_files(self) -> None:
        for file in self._open:
            file.close()
        self._open = []
