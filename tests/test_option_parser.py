"""What is told of a wrong option is read out of what jsonargparse says, which a later version may word otherwise."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from jsonargparse import DefaultHelpFormatter

from option_parser import OptionError, Parser, condense


@dataclass(frozen=True)
class Net:
    """A network.

    Args:
        depth: Number of layers.
    """

    depth: int = 3


@dataclass(frozen=True)
class Options:
    """Options.

    Args:
        size: Side in pixels.
    """

    size: int = 64
    rate: float | None = None
    kind: Literal["it's", "that"] = "that"
    on: bool = False
    names: list[str] = field(default_factory=list)
    table: dict[str, int] = field(default_factory=dict)
    net: Net = field(default_factory=Net)


def parser(**kwargs):
    made = Parser(prog="cli.py toy", **kwargs)
    made.add_argument("files", nargs="+", metavar="FILE", help="what is read")
    made.add_argument("--max-skipped", type=int, default=0, help="how many")
    made.add_argument("--folds", nargs="+", type=int, help="which")
    made.add_argument("--margin", nargs=2, type=int, default=(100, 125), help="on both sides")
    made.add_argument("--out", type=Path, required=True, help="where to")
    made.add_class_arguments(Options, "view")
    return made


TOLD = {
    "--out": "--out: expected one argument",
    "--out o": "FILE: required",
    "a": "--out: required",
    "": "FILE, --out: required",
    "a --out o --nope 3": "unrecognized arguments: --nope 3",
    "a --out o --max_skipped 3": "unrecognized arguments: --max_skipped 3",
    "a --out o --max-skip 3": "unrecognized arguments: --max-skip 3",
    "a --out o --max-skipped x": "--max-skipped: expected a whole number. Got value: x",
    "a --out o --max-skipped 1.5": "--max-skipped: expected a whole number. Got value: 1.5",
    "a --out o --folds 1 b": "--folds: expected a whole number. Got value: b",
    "a --out o --view.size big": "--view.size: expected a whole number. Got value: big",
    "a --out o --view.rate big": "--view.rate: expected a number. Got value: big",
    "a --out o --view.on perhaps": "--view.on: expected true or false. Got value: perhaps",
    "a --out o --view.kind other": "--view.kind: expected one of it's, that. Got value: other",
    "a --out o --view.names x": "--view.names: expected a list. Got value: x",
    "a --out o --view.names [3]": "--view.names: expected a text (in quotation marks). Got value: 3",
    "a --out o --view.table 3": "--view.table: expected a mapping. Got value: 3",
    "a --out o --view.net.depth deep": "--view.net.depth: expected a whole number. Got value: deep",
    "a --out o --view.net.depht 1": "unrecognized arguments: --view.net.depht 1",
}


@pytest.mark.parametrize("words", TOLD)
def test_every_complaint_is_one_line_that_names_the_option_as_it_is_typed(words):
    with pytest.raises(OptionError) as caught:
        parser().parse_args(words.split())
    assert str(caught.value) == f"{TOLD[words]}; python cli.py toy --help tells the options"
    assert caught.value.exit_code == 2


def test_right_options_are_what_was_typed():
    words = "a b --out=o/1 --folds 0 2 --view.size 32 --view.rate 1e-3 --view.on true --view.names [x,y]"
    found = parser().parse_args(words.split())
    assert (found.files, found.out, found.folds, found.max_skipped) == (["a", "b"], Path("o/1"), [0, 2], 0)
    assert found.margin == [100, 125]
    assert parser().parse_args(["a", "--out", "o", "--margin", "3", "4"]).margin == [3, 4]
    assert (found.view.size, found.view.rate, found.view.on, found.view.names) == (32, 1e-3, True, ["x", "y"])


def test_a_path_need_be_no_text():
    assert parser().parse_args(["a\udcff", "--out", "b\udcff"]).out == Path("b\udcff")


def test_long_values_are_cut():
    with pytest.raises(OptionError) as caught:
        parser().parse_args(["a", "--out", "o", "--max-skipped", "x" * 9999])
    assert len(str(caught.value)) < 200


def test_no_variable_gives_an_option(monkeypatch):
    monkeypatch.setenv("JSONARGPARSE_DEFAULT_ENV", "true")
    with pytest.raises(OptionError, match=r"JSONARGPARSE_DEFAULT_ENV: .* unset it"):
        parser()


def test_help_is_as_it_is_worded_or_with_types_and_defaults(capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["--help"])
    assert stop.value.code == 0
    assert "  --max-skipped MAX_SKIPPED\n                        how many\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parser(formatter_class=DefaultHelpFormatter).parse_args(["--help"])
    assert "Side in pixels. (type: int, default: 64)" in capsys.readouterr().out


def test_what_is_no_message_of_the_parser_stays():
    assert condense("something else\nand more") == ([], "something else")
