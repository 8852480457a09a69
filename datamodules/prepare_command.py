"""``cli.py prepare CORPUS``: its options are the fields of the catalogue and of the views of the recipe."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse import DefaultHelpFormatter, Namespace

from datamodules.cores import usable_cores
from datamodules.entries import Catalogue
from datamodules.errors import DataError
from datamodules.media.finder import check_person
from datamodules.media.people_in_picture import PERSON
from datamodules.reading.stand_in import is_stand_in
from datamodules.recipe import Defaults, Recipe, catalogue_class, defaults, names
from datamodules.renamed import successor
from datamodules.store.preparation import prepare
from option_parser import OptionError, Parser


@dataclass(frozen=True)
class Choice:
    """Corpus and recipe of a command line, which decide what the other options are."""

    corpus: type[Catalogue]
    recipe: str
    synthetic: bool
    person: str | None


class Help(DefaultHelpFormatter):
    """Show the default of an option once, and no Python types."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        known = action.default not in (None, argparse.SUPPRESS) and "(default" not in text
        return f"{text} (default: %(default)s)" if known else text


def main(corpus: str, arguments: Sequence[str]) -> int:
    """Prepare a corpus.

    Returns:
        The exit code.

    Raises:
        DataError: An option or the source is wrong.
        UnusableError: More entries than were accepted cannot be used.
    """
    if moved := successor(corpus, arguments):
        raise DataError(moved)
    choice = _choice(corpus, arguments)
    if choice.person is not None:
        check_person(f"--{PERSON}", choice.person)
    recipe = defaults(choice.recipe, synthetic=choice.synthetic, catalogue=choice.corpus)
    parser = _parser(choice, recipe)
    _add(parser, choice.corpus, "", {})
    for name, (view, options) in recipe.views.items():
        follows = choice.person is not None and PERSON in {one.name for one in fields(view)}
        _add(parser, view, f"views.{name}.", {**options, PERSON: choice.person} if follows else options)
    _add(parser, recipe.sink, "sink.", recipe.sink_options)
    given = parser.parse_args([_spelled(parser, word) for word in arguments])
    kept = {name: _built(view, f"views.{name}.", given) for name, (view, _) in recipe.views.items()}
    began, target = time.monotonic(), _built(recipe.sink, "sink.", given)
    if adopted := target.adopt(given.source, given.out):
        print(adopted.summary(time.monotonic() - began))
        return 0
    prepare(
        _built(choice.corpus, "", given),
        Recipe(choice.recipe, kept, target, tuple(given.optional)),
        given.source,
        given.out,
        workers=given.workers,
        max_skipped=given.max_skipped,
        preview=given.preview,
    )
    return 0


def _choice(corpus: str, arguments: Sequence[str]) -> Choice:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    first.add_argument("--source", type=Path)
    first.add_argument(f"--{PERSON}")
    try:
        asked = first.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError as error:
        raise OptionError(f"{error}; python cli.py prepare {corpus} --help tells the options") from None
    if asked.source is None and not {"-h", "--help"} & set(arguments):
        raise DataError(f"--source DIR is missing; python cli.py prepare {corpus} --help tells the options")
    found = catalogue_class(corpus)
    synthetic = bool(asked.source and asked.source.is_dir() and is_stand_in(asked.source, corpus))
    return Choice(found, found.recipe if asked.recipe is None else asked.recipe, synthetic, asked.person)


def _parser(choice: Choice, recipe: Defaults) -> Parser:
    corpus = choice.corpus
    parser = Parser(
        prog=f"cli.py prepare {corpus.name}" + (f" --recipe {choice.recipe}" if choice.recipe != corpus.recipe else ""),
        usage=f"cli.py prepare {corpus.name} --source DIR [--OPTION VALUE ...]",
        description=(sys.modules[corpus.__module__].__doc__ or "").split("\n\n")[0],
        formatter_class=Help,
    )
    workers, out, recipes = usable_cores(), f"data/{corpus.name}", ", ".join(names("recipes"))
    parser.add_argument("--source", type=Path, metavar="DIR", help="folder of the raw corpus (required)")
    parser.add_argument("--out", type=Path | None, metavar="DIR", help=f"folder of the corpus (default: {out})")
    parser.add_argument("--recipe", default=choice.recipe, metavar="NAME", help=f"what is kept of it: {recipes}")
    parser.add_argument(
        "--optional", type=tuple[str, ...], default=recipe.optional, metavar="[NAME, ...]",
        help="views that an entry may go without; missing.csv lists them",
    )  # fmt: skip
    if any(PERSON in {one.name for one in fields(view)} for view, _ in recipe.views.values()):
        parser.add_argument(
            f"--{PERSON}", metavar="WHO",
            help="whom every view of faces follows: largest, central, or 1, 2, ... from the left",
        )  # fmt: skip
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help="processes")
    parser.add_argument("--max-skipped", type=int, default=0, metavar="N", help=f"accept N unusable {corpus.unit}s")
    parser.add_argument("--preview", type=Path | None, metavar="FILE.png", help="write a contact sheet of the pictures")
    return parser


def _add(parser: Parser, cls: Any, prefix: str, values: Mapping[str, Any]) -> None:
    """Add the fields of a dataclass, with what a recipe says of them as their defaults."""
    if unknown := sorted(set(values) - {one.name for one in fields(cls)}):
        raise DataError(f"a recipe gives --{prefix}{unknown[0]}, and {cls.__name__} has no such option")
    if fields(cls):
        group = parser.add_argument_group((cls.__doc__ or "").split("\n")[0].rstrip("."))
        group.add_class_arguments(cls, prefix.rstrip(".") or None, as_group=False)
        parser.set_defaults({f"{prefix}{name}": value for name, value in values.items()})


def _spelled(parser: Parser, word: str) -> str:
    """Return an option as the parser knows it: fields of dataclasses have underscores where people type hyphens."""
    name, sign, value = word.partition("=")
    known = {option for action in parser._actions for option in action.option_strings}
    other = f"--{name[2:].replace('-', '_')}"
    return f"{other}{sign}{value}" if name[:2] == "--" and name not in known and other in known else word


def _built(cls: Any, prefix: str, given: Namespace) -> Any:
    """Return a dataclass with the values that its options have."""
    return cls(**{one.name: given[f"{prefix}{one.name}"] for one in fields(cls)})
