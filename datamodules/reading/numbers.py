"""Numbers and times in tables that anyone may have written: what is unclear is refused, never guessed at."""

import math
import re

from datamodules.errors import DataError

EMPTY = ("", "nan", "NaN", "NaT", "NA", "<NA>", "None", "null")  # of a number or a time that is not there
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_CLOCK = re.compile(r"(?:(\d+) days? )?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


def number(text: str, where: str) -> float | None:
    """Return a number, None where there is none.

    Raises:
        DataError: It is none, or infinite; a decimal comma is never guessed at.
    """
    if text in EMPTY:
        return None
    if DECIMAL_COMMA.fullmatch(text):
        raise DataError(f"{where} {text!r} has a decimal comma; save the table with decimal points")
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where} {text!r} is no number; correct it, or leave it empty where there is none") from None
    if math.isinf(value):
        raise DataError(f"{where} {text!r} is infinite; correct it")
    return None if math.isnan(value) else value


def clock(text: str) -> float | None:
    """Return seconds of a time as pandas writes it, ``0 days 00:00:01.5`` or ``00:01.5``; None of anything else."""
    if not (found := _CLOCK.fullmatch(text)):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def seconds(text: str, where: str) -> float | None:
    """Return a time in seconds, None where there is none."""
    if (time := clock(text)) is not None:
        return time
    value = number(text, where)
    if value is not None and value < 0:
        raise DataError(f"{where} {text!r} is below 0; correct it")
    return value
