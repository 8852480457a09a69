"""Read and merge YAML as the command line does."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import DataError
from experiments.errors import TooMuch
from experiments.settings import plain_yaml

PROJECT = Path(__file__).resolve().parents[2]
Config = dict[str, Any]
MOST_SEED = 2**32 - 1  # the greatest that numpy takes
SETTING = re.compile(r"[A-Za-z_][\w.]*\+?")  # dotted name of one; options of the command line alone have a hyphen
CLASS_KEYS = frozenset({"class_path", "init_args", "dict_kwargs"})


def display_path(path: Path) -> Path:
    """Return a path as messages show it: from the working directory where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def parse_value(text: str) -> Any:
    """Return the value that a piece of YAML means.

    Args:
        text: YAML, for example the value of a command line option.

    Returns:
        The parsed value; the text itself where it is no YAML.

    Raises:
        TooMuch: If it is a bomb.
    """
    try:
        return plain_yaml.load(text)
    except TooMuch:
        raise
    except (yaml.YAMLError, UnicodeEncodeError):  # a path need be no text
        return text


def read_yaml(path: Path) -> Config:
    """Read a YAML file that holds a mapping.

    Args:
        path: The file.

    Returns:
        The mapping.

    Raises:
        DataError: If the file is missing, empty or no YAML, or holds something else.
    """
    try:
        content = plain_yaml.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{display_path(path)}: {error.strerror or error}") from error
    except (UnicodeError, yaml.reader.ReaderError) as error:
        raise DataError(f"{display_path(path)}: not a text file") from error
    except TooMuch as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{display_path(path)}{where}: {error.problem}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{display_path(path)}{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
    if content is None:
        raise DataError(f"{display_path(path)}: holds no settings")
    if not isinstance(content, dict):
        raise DataError(f"{display_path(path)}: expected a mapping, found {type(content).__name__}")
    return content


def merge(base: Mapping[str, Any], new: Mapping[str, Any], *, sections: bool = True) -> Config:
    """Merge settings over others as the command line does.

    Sections, classes and their arguments merge, ``key+`` appends to a list. Any other mapping is a value, which is
    replaced as a whole.

    Args:
        base: The earlier settings.
        new: The later ones.
        sections: Whether the keys are the sections of a file, ``trainer``, ``model`` and ``data``.

    Returns:
        The merged settings.
    """
    merged = dict(base)
    for key, value in new.items():
        old = merged.get(key)
        if isinstance(key, str) and key.endswith("+"):
            name = key.removesuffix("+")
            merged[name] = [*_listed(merged.get(name)), *_listed(value)]
        elif isinstance(value, str) and isinstance(old, dict) and "class_path" in old:
            merged[key] = {**old, "class_path": value}  # another class keeps the arguments that it knows
        elif isinstance(value, dict):
            mixes = sections or key in CLASS_KEYS or _is_class(value) or _is_class(old)
            merged[key] = merge(old if mixes and isinstance(old, dict) else {}, value, sections=False)
        else:
            merged[key] = value
    return merged


def override(settings: Any, names: Sequence[str], value: Any) -> Any:
    """Set one dotted option in settings as the command line does.

    Args:
        settings: The settings; a list stands for its last item, text for a class without arguments.
        names: The option's name at its dots, below the settings.
        value: Its value.

    Returns:
        The new settings.
    """
    if isinstance(settings, list):
        return [*settings[:-1], override(settings[-1] if settings else {}, names, value)]
    if isinstance(settings, str):
        settings = {"class_path": settings}
    settings = settings if isinstance(settings, dict) else {}
    if _is_class(settings) and names[0] not in CLASS_KEYS:
        names = ["init_args", *names]
    if len(names) == 1:
        return merge(settings, {names[0]: value}, sections=False)
    return {**settings, names[0]: override(settings.get(names[0]), names[1:], value)}


def _is_class(value: Any) -> bool:
    return isinstance(value, dict) and not CLASS_KEYS.isdisjoint(value)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
