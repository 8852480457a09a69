"""Errors that end a command and are reported in one or two lines, an interrupt and a finished run among them."""

from typing import Any

from yaml import MarkedYAMLError


class UsageError(ValueError):
    """A command line that cannot be carried out."""

    exit_code = 2


class NotPushed(Exception):
    """A folder that is whole could not be sent to the hub."""

    exit_code = 1


class TooMuch(MarkedYAMLError):
    """YAML that can be read and that nobody means as settings: a bomb, or a key of which one value would be lost."""

    exit_code = 2

    def __init__(self, problem: str, mark: Any = None) -> None:
        super().__init__(problem=problem, problem_mark=mark)

    def __str__(self) -> str:
        """Return the problem in one line."""
        return str(self.problem)


class Finished(Exception):
    """There is nothing left to do."""


class Interrupted(BaseException):
    """A signal asked this process to end; like KeyboardInterrupt it is no error that code may handle by the way.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class BusyError(Exception):
    """All places are taken; trying again later helps."""

    exit_code = 1
