"""Reads JSON that anyone may have written: no deeper, and no longer numbers, than a file of ours or of a corpus has."""

import json
from collections.abc import Iterable
from typing import Any

DEPTH = 100  # levels of nesting; the deepest file of a corpus has ten
DIGITS = 100  # of one whole number; 64 bits have 20


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Return what a piece of JSON means.

    Args:
        text: The JSON.
        finite: Refuse the NaN and Infinity that Python, but no JSON, has.

    Raises:
        ValueError: If it is none, is nested more than `DEPTH` levels deep, or holds a number that is not finite or has
            more than `DIGITS` digits.
    """
    try:
        content = json.loads(text, parse_int=_whole_number, parse_constant=_no_number if finite else None)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH} levels deep") from None
    level = [content]
    for _ in range(DEPTH + 1):  # a level at a time, as calls inside calls end where Python's stack does
        level = [item for one in level if isinstance(one, dict | list) for item in _items(one)]
        if not level:
            return content
    raise ValueError(f"nested more than {DEPTH} levels deep")


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} digits; at most {DIGITS}")
    return int(digits)
