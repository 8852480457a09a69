"""``cli.py prepare CORPUS``: its options are the fields of the catalogue and of the views of the recipe."""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from datamodules.entries import Catalogue
from datamodules.preparation import prepare
from datamodules.recipe import Recipe, catalogue_class, defaults, names
from datamodules.renamed import successor
from datamodules.sinks.base import StoreSink
from datamodules.store import DataError, is_stand_in


@dataclass(frozen=True)
class Choice:
    """What has to be known before the options can be: they are those of a recipe."""

    corpus: type[Catalogue]
    recipe: str
    synthetic: bool


def main(corpus: str, arguments: Sequence[str]) -> int:
    """Prepare a corpus.

    Args:
        corpus: Name of its catalogue.
        arguments: Command line after it.

    Returns:
        The exit code.

    Raises:
        DataError: An option or the source is wrong.
        UnusableError: More entries than were accepted cannot be used.
    """
    if moved := successor(corpus, arguments):
        raise DataError(moved)
    choice = _choice(corpus, arguments)
    parser = _parser(choice)
    try:
        given = parser.parse_args(list(arguments))
        built = parser.instantiate(given)
    except argparse.ArgumentError as error:
        raise DataError(f"{' '.join(str(error).split())}; prepare {corpus} --help tells the options") from None
    began, sink = time.monotonic(), built.sink if "sink" in built else StoreSink()
    if adopted := sink.adopt(built.source, built.out):
        print(adopted.told(time.monotonic() - began))
        return 0
    own = {one.name: getattr(built, one.name) for one in fields(choice.corpus)}  # type: ignore[arg-type]
    prepare(
        choice.corpus(**own),
        Recipe(choice.recipe, vars(built.views), sink),
        built.source,
        built.out,
        workers=built.workers,
        max_skipped=built.max_skipped,
        preview=built.preview,
    )
    return 0


def _choice(corpus: str, arguments: Sequence[str]) -> Choice:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    first.add_argument("--source", type=Path)
    try:
        asked = first.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError as error:
        raise DataError(f"{error}; prepare {corpus} --help tells the options") from None
    found = catalogue_class(corpus)
    synthetic = bool(asked.source and asked.source.is_dir() and is_stand_in(asked.source, corpus))
    return Choice(found, asked.recipe or found.recipe, synthetic)


def _parser(choice: Choice) -> ArgumentParser:
    corpus = choice.corpus
    views, sink, sink_options = defaults(choice.recipe, synthetic=choice.synthetic)
    parser = ArgumentParser(
        prog=f"cli.py prepare {corpus.name}",
        description=(sys.modules[corpus.__module__].__doc__ or "").split("\n\n")[0],
        exit_on_error=False,
        allow_abbrev=False,
    )
    workers, out = os.cpu_count() or 1, f"data/{corpus.name}"
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of the raw corpus")
    parser.add_argument("--out", type=Path | None, metavar="DIR", help=f"folder of the corpus (default: {out})")
    parser.add_argument(
        "--recipe",
        type=str,
        default=choice.recipe,
        metavar="NAME",
        help=f"what is kept of it: {', '.join(names('recipes'))}",
    )
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help="processes")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help=f"accept N unusable {corpus.unit}s")
    parser.add_argument("--preview", type=Path | None, metavar="FILE.png", help="write a contact sheet of the pictures")
    if fields(corpus):  # type: ignore[arg-type]
        parser.add_class_arguments(corpus)
    for name, (view, options) in views.items():
        _add(parser, view, f"views.{name}", options)
    if fields(sink):
        _add(parser, sink, "sink", sink_options)
    return parser


def _add(parser: ArgumentParser, cls: type, key: str, options: Mapping[str, Any]) -> None:
    parser.add_class_arguments(cls, key)
    known = {one.name for one in fields(cls)}
    if unknown := sorted(set(options) - known):
        raise DataError(f"a recipe gives {key} the option {unknown[0]!r}, which {cls.__name__} has not")
    parser.set_defaults({f"{key}.{name}": value for name, value in options.items()})
