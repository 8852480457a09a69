"""Parts of files: what a row names by start and end, and the windows of a longer clip."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from datamodules.errors import DataError, MediaError
from datamodules.media.container import probe

LEAST = 0.1  # seconds


@dataclass(frozen=True)
class Span:
    """A part of a file.

    Attributes:
        start: Seconds after its beginning; None for the beginning.
        end: Seconds after its beginning; None for its end.
    """

    start: float | None = None
    end: float | None = None

    @property
    def name(self) -> str:
        """What an id ends with: empty for all of a file."""
        if self.start is None and self.end is None:
            return ""
        return f"@{_short(self.start or 0.0)}-{'' if self.end is None else _short(self.end)}"


WHOLE = Span()


@dataclass(frozen=True)
class Windows:
    """Windows that longer clips are cut into.

    Attributes:
        seconds: How long each is; None to leave clips as they are.
        hop: From the start of one to that of the next; `seconds` where not given.
    """

    seconds: float | None = None
    hop: float | None = None

    def check(self) -> None:
        """Refuse windows of no length, or that leave something out."""
        for name, given in (("window", self.seconds), ("hop", self.hop)):
            if given is not None and not isinstance(given, Real):
                raise DataError(f"--{name} {given!r}: give seconds, as a number")
        if self.seconds is None:
            if self.hop is not None:
                raise DataError(f"--hop {self.hop}: of windows, which --window SECONDS asks for")
            return
        if not LEAST <= self.seconds <= 600:
            raise DataError(f"--window {self.seconds}: give seconds from {LEAST} to 600")
        if self.hop is not None and not LEAST <= self.hop <= self.seconds:
            raise DataError(f"--hop {self.hop}: give seconds from {LEAST} to the {self.seconds} of --window")

    def parts(self, path: Path, part: Span) -> Iterator[Span]:
        """Yield the windows of a clip, the last one ending with it; the clip itself where it is not longer.

        Args:
            path: Of the file, which is asked for its length; one that does not tell it is left whole.
            part: The part of it that is the clip.
        """
        if self.seconds is None:
            yield part
            return
        begin = part.start or 0.0
        try:
            end = min(part.end or float("inf"), probe(path).seconds)
        except MediaError:  # the reason is told where it is decoded
            end = begin
        if end - begin <= self.seconds + 1e-6:
            yield part
        else:
            yield from self.between(begin, end)

    def between(self, begin: float, end: float) -> Iterator[Span]:
        """Yield the windows of a time that is longer than one of them, the last one ending with it."""
        assert self.seconds is not None
        hop = self.hop or self.seconds
        count = 1
        while begin + count * hop + self.seconds <= end + 1e-6:
            count += 1
        starts = [begin + place * hop for place in range(count)]
        if end - (starts[-1] + self.seconds) > LEAST:
            starts.append(end - self.seconds)
        for start in starts:
            yield Span(start, start + self.seconds)


def _short(value: float) -> str:
    """Return a number of seconds to the millisecond, without zeros that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
