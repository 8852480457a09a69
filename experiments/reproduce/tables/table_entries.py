"""The schema of a table's YAML: its keys and their types, which jsonargparse reads."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_origin

from jsonargparse import ArgumentError, ArgumentParser, set_loader

from datamodules.errors import DataError
from experiments.reproduce.tables.table import PROTOCOLS, Metric, Protocol, Row
from option_parser import condense

Entry = TypeVar(
    "Entry",
    "TableEntry",
    "SyntheticEntry",
    "MissingEntry",
    "VaryEntry",
    "AcrossEntry",
    "MapEntry",
    "PublishedEntry",
    Row,
)
Seeds = list[int] | dict[str, list[int]]

# A bare `list` or `dict` stays as it is: where a type says `Any`, jsonargparse imports what looks like a class.


@dataclass(frozen=True)
class TableEntry:
    """A whole file; ``rows`` and the parts are entries of their own."""

    title: str
    source: str
    corpus: str
    rows: list  # type: ignore[type-arg]
    folds: list[int] = field(default_factory=lambda: [0])
    seeds: Seeds = field(default_factory=lambda: [1])
    protocols: list[Protocol] = field(default_factory=lambda: list(PROTOCOLS))
    metric: Metric = "accuracy"
    unpublished: str = "-"
    real_features: bool = False
    top3: bool = False
    own: bool = False
    missing: dict | None = None  # type: ignore[type-arg]
    vary: dict | None = None  # type: ignore[type-arg]
    across: dict | None = None  # type: ignore[type-arg]
    synthetic: dict = field(default_factory=dict)  # type: ignore[type-arg]


@dataclass(frozen=True)
class SyntheticEntry:
    """Overrides for the stand-in, and the options that make it."""

    synth: dict = field(default_factory=dict)  # type: ignore[type-arg]
    prepare: dict = field(default_factory=dict)  # type: ignore[type-arg]
    folds: list[int] | None = None
    seeds: Seeds | None = None
    protocols: list[Protocol] | None = None
    values: list | None = None  # type: ignore[type-arg]
    rows: list[str] | None = None
    recipes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MissingEntry:
    """Modalities that are dropped from clips of the test fold, or are their only ones."""

    rates: list[float] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)
    subsets: list[list[str]] = field(default_factory=list)
    rows: list[str] | None = None


@dataclass(frozen=True)
class VaryEntry:
    """Rows that are repeated for every value of an option."""

    option: str
    values: list  # type: ignore[type-arg]
    label: str
    rows: list[str]


@dataclass(frozen=True)
class AcrossEntry:
    """Corpora that every row is trained on and scored on, and which class of two of them is which."""

    corpora: list[str]
    maps: list = field(default_factory=list)  # type: ignore[type-arg]


@dataclass(frozen=True)
class MapEntry:
    """Of every class of the first corpus its counterpart in the second, or null."""

    between: list[str]
    classes: dict  # type: ignore[type-arg]


@dataclass(frozen=True)
class PublishedEntry:
    """Published figures of a row."""

    provenance: Literal["reported", "authors' log", "secondary", "unverified"]
    accuracy: float | None = None
    uar: float | None = None
    parameters: float | None = None
    n: str | int | None = None
    note: str | None = None


def read_entry(kind: type[Entry], content: Any, where: str) -> Entry:
    """Read a part of a table's file; a key without a value counts as left out.

    Args:
        kind: What it may say.
        content: The part, plain values.
        where: File and part, for messages.

    Raises:
        DataError: If a key is unknown, missing, or its value of another type.
    """
    if not isinstance(content, dict):
        raise DataError(f"{where}: expected a mapping, found {content!r}")
    known = {one.name for one in fields(kind)}
    if unknown := content.keys() - known:
        told = ", ".join(sorted(map(str, unknown)))
        raise DataError(f"{where}: unknown key {told}; known: {', '.join(sorted(known))}")
    given = {key: value for key, value in content.items() if value is not None}
    for one in fields(kind):
        leaves = _leaves(one.type)
        if leaves <= _WORDS.keys() and (text := next(_texts(given.get(one.name)), None)) is not None:
            expected = " or ".join(_WORDS[leaf] for leaf in sorted(leaves - {type(None)}, key=str))
            raise DataError(f"{where}: {one.name}: expected {expected}, found the text {text[:80]!r}")
    hashable: Any = kind  # a class, though its instances have no hash
    try:
        found = _parser(hashable).parse_object(given, env=False, defaults=False)
    except ArgumentError as error:
        raise DataError(f"{where}: {_describe_error(str(error))}") from error
    return kind(**{name: found[name] for name in given})


def _describe_error(message: str) -> str:
    """Return the keys that are wrong, if the message names them, and what is wrong with them."""
    keys, complaint = condense(message)
    return f"{', '.join(keys)}: {complaint}" if keys else complaint


# What jsonargparse would make of a text by reading it as YAML once more, which nothing has looked through for bombs.
_WORDS: dict[Any, str] = {bool: "true or false", float: "numbers", int: "whole numbers", type(None): ""}


def _leaves(kind: Any) -> set[Any]:
    """Return the types of single values that a type allows; keys are no values."""
    inner = get_args(kind)[1:] if get_origin(kind) is dict else get_args(kind)
    return set().union(*map(_leaves, inner)) if inner else {kind}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@functools.cache
def _parser(kind: type[Any]) -> ArgumentParser:
    set_loader("text", lambda text: text)  # a text of a table is no YAML
    parser = ArgumentParser(exit_on_error=False, parser_mode="text")
    parser.add_class_arguments(kind, fail_untyped=False)
    return parser
