"""Read JSON that anyone may have written: no deeper, and no longer numbers, than a file of ours or of a corpus has."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.files import check_regular

DEPTH = 100  # levels of nesting; the deepest file of a corpus has ten
DIGITS = 100  # of one whole number; 64 bits have 20


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Return the value of a piece of JSON.

    Args:
        text: The JSON.
        finite: Refuse the NaN and Infinity that Python, but no JSON, has, and a name that an object holds twice.

    Raises:
        ValueError: If it is none, is nested more than `DEPTH` levels deep, or holds a number of more than `DIGITS`
            digits or, where asked for, one that is not finite, or a name twice.
    """
    try:
        strict: dict[str, Any] = {"parse_constant": _no_number, "object_pairs_hook": _distinct} if finite else {}
        content = json.loads(text, parse_int=_whole_number, **strict)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH} levels deep") from None
    level = [content]
    for _ in range(DEPTH + 1):  # a level at a time, as calls inside calls end where Python's stack does
        level = [item for one in level if isinstance(one, dict | list) for item in _items(one)]
        if not level:
            return content
    raise ValueError(f"nested more than {DEPTH} levels deep")


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON file that holds an object of finite numbers.

    Raises:
        DataError: If the file is missing, damaged, or holds something else.
    """
    try:
        check_regular(path)
        content = parse_json(path.read_text(encoding="utf-8"), finite=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (a {type(content).__name__} where an object belongs); {remedy}")
    return content


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:60]!r} comes twice")
        found[name] = value
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} digits; at most {DIGITS}")
    return int(digits)
