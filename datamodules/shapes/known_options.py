"""What somebody else's file says of the reading of clips: kinds and sizes that make sense, no place on a machine."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from datamodules.errors import DataError
from datamodules.shapes.scaling import known_statistics
from option_parser import condense

PLACES = {"root", "store", "splits", "num_workers"}  # on a machine, of which a model says nothing
MOST = 4096  # of any number: pixels of a side, tokens, seconds


def known_options(shape: Any, given: Any) -> dict[str, Any]:
    """Return options of the kinds that a class of data asks for.

    Args:
        shape: The class.
        given: Its options by name, of anybody.

    Raises:
        DataError: One is unknown, of another kind, too large, or says where something lies.
    """
    if not isinstance(given, Mapping) or any(name in PLACES for name in given):
        raise DataError("its reading is damaged: it holds no options, or a place on a machine")
    numbers = {name: value for name, value in given.items() if isinstance(value, int | float)}
    if wrong := [name for name, value in numbers.items() if not 0 <= value <= MOST]:
        raise DataError(f"its reading is damaged: {wrong[0]} {numbers[wrong[0]]}: from 0 to {MOST}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(shape, fail_untyped=False)
    try:
        parser.parse_object(dict(given), defaults=False)
    except Exception as error:  # of a type's own reading too
        names, told = condense(str(error))
        raise DataError(f"its reading is damaged: {'.'.join(names)}: {told[:120]}") from error
    for plain in (given.get("statistics") or {}).values():
        known_statistics(plain)
    return dict(given)


def known_vocabularies(given: Any) -> dict[str, list[str]]:
    """Return the values by field that somebody else's file gives.

    Raises:
        DataError: They are no lists of texts.
    """
    fields: dict[str, Any] = given if isinstance(given, dict) else {"": None}
    if not all(isinstance(of, list) and all(isinstance(value, str) for value in of) for of in fields.values()):
        raise DataError("its vocabularies are damaged: no lists of texts by field")
    return fields
