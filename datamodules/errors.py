"""Errors in data and in options about them: one or two lines that end with the next step."""

from pathlib import Path

from datamodules.reading.files import plain


class DataError(ValueError):
    """A mistake in the data or in an option about it: one or two lines that end with the next step."""

    exit_code = 2


class MediaError(DataError):
    """A file that cannot be used.

    Args:
        path: The file.
        reason: Why, in a few words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{plain(str(path))}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["MediaError"], tuple[Path, str]]:
        """Return what pickle needs to pass the error between processes."""
        return MediaError, (self.path, self.reason)


class LackingError(DataError):
    """A source has nothing for a view, which is left out where the recipe can do without."""


class UnusableError(Exception):
    """More entries cannot be used than was accepted."""

    exit_code = 1


class Stopped(KeyboardInterrupt):
    """Somebody stopped the work; the same command carries on."""


class Busy(Exception):
    """Another process is at work in the folder."""
