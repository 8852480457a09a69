"""The parser of the commands that import no torch: jsonargparse's, whose errors are one line."""

import argparse
import re
from ast import literal_eval
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, get_loader, set_loader
from yaml import YAMLError


class OptionError(ValueError):
    """A command line that no command can be made of."""

    exit_code = 2


class Parser(ArgumentParser):
    """Raise what is wrong in one line instead of printing a page of usage; take no abbreviations and no variables.

    Help is as the options word it. Where options are the fields of a class, give jsonargparse's own
    ``formatter_class``, which adds their types and defaults.
    """

    def __init__(self, **kwargs: Any) -> None:
        set_loader("option", get_loader("yaml"), (YAMLError, UnicodeEncodeError))  # a path need be no text
        super().__init__(
            **{"formatter_class": argparse.HelpFormatter, "parser_mode": "option", **kwargs, "allow_abbrev": False}
        )
        if self.default_env:
            raise OptionError("JSONARGPARSE_DEFAULT_ENV: options are those of the command line alone; unset it")

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an option as argparse does; a default of several values is a list, which jsonargparse writes to."""
        if "nargs" in kwargs and isinstance(kwargs.get("default"), tuple):
            kwargs["default"] = list(kwargs["default"])
        return super().add_argument(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what is wrong, and where the options are listed."""
        names, complaint = condense(message)
        known = {action.dest: _typed(action) for action in self._actions}
        typed = ", ".join(known.get(name, f"--{name}") for name in names)
        raise OptionError(f"{typed}: {complaint}; {self._help()}" if typed else f"{complaint}; {self._help()}") from ex

    def _help(self) -> str:
        return f"python {self.prog} --help tells the options"


def _typed(action: argparse.Action) -> str:
    """Return how an option is typed in full, or what stands for an argument without a name."""
    full = [word for word in action.option_strings if word.startswith("--")]
    return full[0] if full else str(action.metavar or action.dest)


_MISSING = "the following arguments are required: "
# Of what jsonargparse tells of a union, the lines that are not about a type of it.
_ABOUT_ALL = re.compile(
    r"Does not validate|Problem with given class_path '.+':$|Subtypes?\b|Subclass types|Errors:|"
    r"Expected a path but|Not a valid|Given value|a class path|a dict w"
)


def condense(message: str) -> tuple[list[str], str]:
    """Return the part of a message of jsonargparse that a user can act on.

    It lists what every type of a union reported, nested by option; the first complaint that is not about the union
    itself is the cause.

    Args:
        message: As it words it.

    Returns:
        Dotted names of the options that are meant, if it names any, and one line of what is wrong with them.
    """
    option: list[str] = []
    for line in message.splitlines():
        if inner := re.search(r"--([\w.+-]+): (.+)", line):  # condensed already, by the parser of a class
            return [".".join([*option, inner[1]])], inner[2]
        text = line.strip(" -")
        if key := re.fullmatch(r'Parser key "(.+)"(?: element \d+)?:\s*(.*)', text):
            option.append(key[1])
            text = key[2]
        if unknown := re.fullmatch(r"Option '(.+)' is not accepted", text):
            return [".".join([*option, unknown[1]])], "there is no such option"
        if text.startswith(_MISSING):
            return [".".join([*option, name]) for name in text.removeprefix(_MISSING).split(", ")], "required"
        if missing := re.fullmatch(r"Expected a dot import path string: (.+)", text):
            return [".".join(option)], f"there is no class {missing[1]}"
        if text and not _ABOUT_ALL.match(text):
            given = re.search(r"Given value: (.{1,80})$", message)
            value = f". Got value: {given[1]}" if given and option and "Got value" not in text else ""
            return [".".join(option)] if option else [], f"{_plain(text)}{value}"
    return [], message.strip().splitlines()[0]


_TYPES = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "tuple": "a list",
    "str": "a text (in quotation marks)",
}


def _plain(text: str) -> str:
    """Return a complaint about a type, in words."""
    text = re.sub(r"Expected a <class '(\w+)'>", lambda name: f"expected {_TYPES.get(name[1], name[1])}", text)
    text = re.sub(r"<class '(\w+)'>|typing\.", r"\1", text.replace("Expected a ", "expected "))
    text = re.sub(r"(Got value: .{80}).+", r"\1...", text)
    return re.sub(r"Literal(\[[^]]*\])", lambda names: "one of " + ", ".join(map(str, literal_eval(names[1]))), text)
