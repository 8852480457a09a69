"""The meaning of a number on the command line where both a count and a share are allowed."""

import argparse
from collections.abc import Iterable
from typing import Any, Union


def counts_before_shares(actions: Iterable[argparse.Action]) -> None:
    """Make ``1`` mean one and ``1.0`` mean all where an argument takes either, as Lightning's do.

    `typing` keeps unions by what is in them, whatever the order, so that ``Optional[Union[int, float]]`` may be what
    some other import first built from ``Union[float, int]``; the parser takes the first type that fits.

    Args:
        actions: Arguments of a parser; their types are corrected in place.
    """
    for action in actions:
        kinds: tuple[Any, ...] = getattr(getattr(action, "_typehint", None), "__args__", ())
        if int in kinds and float in kinds and kinds.index(float) < kinds.index(int):
            ordered = [kind for kind in kinds if kind is not int]
            ordered.insert(ordered.index(float), int)
            action._typehint = Union[tuple(ordered)]  # type: ignore[attr-defined] # noqa: UP007
