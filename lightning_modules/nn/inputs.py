"""The kinds of input that models read, known before one is built: of their parts, as the settings name them."""

import importlib
from collections.abc import Mapping
from typing import Any


def kind_of(part: Any, default: type | None = None) -> str:
    """Return the kind that a part of a model reads; empty where it does not say.

    Args:
        part: As settings have it: ``class_path`` and ``init_args``; None for the default.
        default: The class that stands where there is none.
    """
    options: Mapping[str, Any] = {}
    if part is not None:
        module, _, name = str(part["class_path"]).rpartition(".")
        default = getattr(importlib.import_module(module), name)
        given = part.get("init_args")
        options = dict(given.items()) if given else {}
    said = getattr(default, "kind_read", None)
    return said(**options) if said else ""


def several(unit: str, kind: str) -> str:
    """Return the kind of several of a kind: ``window`` of ``picture`` is a window of pictures."""
    if not kind:
        return ""
    word, space, rest = kind.partition(" ")
    return f"{unit} of {word.removesuffix('s')}s{space}{rest}"
