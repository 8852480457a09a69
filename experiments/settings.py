"""Reads and merges YAML as the command line does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datamodules.store import DataError
from experiments import plain_yaml

PROJECT = Path(__file__).resolve().parents[1]
Config = dict[str, Any]


def shown(path: Path) -> Path:
    """A path as messages show it: from the working directory where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def parse_value(text: str) -> Any:
    """The value that a piece of YAML means.

    Args:
        text: YAML, for example the value of a command line option.

    Returns:
        The parsed value; the text itself where it is no YAML.

    Raises:
        TooMuch: If it is a bomb.
    """
    try:
        return plain_yaml.load(text)
    except plain_yaml.TooMuch:
        raise
    except yaml.YAMLError:
        return text


def read_yaml(path: Path) -> Config:
    """Reads a YAML file that holds a mapping.

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
        raise DataError(f"{shown(path)}: {error.strerror or error}") from error
    except (UnicodeError, yaml.reader.ReaderError) as error:
        raise DataError(f"{shown(path)}: not a text file") from error
    except plain_yaml.TooMuch as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{shown(path)}{where}: {error.problem}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{shown(path)}{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
    if content is None:
        raise DataError(f"{shown(path)}: holds no settings")
    if not isinstance(content, dict):
        raise DataError(f"{shown(path)}: expected a mapping, found {type(content).__name__}")
    return content


def merge(base: Mapping[str, Any], new: Mapping[str, Any]) -> Config:
    """Lays settings over others as the command line does: mappings merge, ``key+`` appends to a list."""
    merged = dict(base)
    for key, value in new.items():
        if isinstance(key, str) and key.endswith("+"):
            name = key.removesuffix("+")
            merged[name] = [*_listed(merged.get(name)), *_listed(value)]
        elif isinstance(value, dict) and isinstance(old := merged.get(key), dict):
            merged[key] = merge(old, value)
        elif isinstance(value, dict) and isinstance(old, list):  # --trainer.callbacks.x edits the last callback
            merged[key] = [*old, value]
        else:
            merged[key] = merge({}, value) if isinstance(value, dict) else value
    return merged


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
