"""Read YAML that anyone may have written: only plain values, and never more of them than settings can have."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from datamodules.reading.plain_json import DEPTH, DIGITS
from error_texts import first_line
from experiments.errors import TooMuch

VALUES = 100_000  # values with every alias written out; settings have hundreds
CHARACTERS = 100  # that count as one value more
LENGTH = 1_000_000  # characters; the longest table has some ten thousand

_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_Events: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # told one by one: no nesting is too deep for it


class Loader(yaml.SafeLoader):
    """Read numbers as the command line does: ``1e-3`` is a float, a date is text."""


Loader.yaml_constructors = {
    tag: build
    for tag, build in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _PLAIN
}
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _text(loader: Loader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_scalar(node)
    text.encode()  # half of a pair of surrogates can be written, and never stored
    return text


Loader.add_constructor("tag:yaml.org,2002:str", _text)


def load(text: str) -> Any:
    """Return the value of a piece of YAML.

    Args:
        text: The YAML.

    Raises:
        TooMuch: If it is nested, repeated or as long as no settings are, or a mapping has a key twice.
        yaml.YAMLError: If it is no YAML, or means something else than plain values.
    """
    return limited(lambda checked: yaml.load(checked, Loader))(text)  # a SafeLoader


def limited(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader of YAML that refuses bombs before it reads.

    Args:
        parse: The reader; ``ValueError`` and the like of a value that it cannot build become a ``yaml.YAMLError``.
    """

    def read(text: str) -> Any:
        check(text)
        try:
            return parse(text)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            if isinstance(error, yaml.YAMLError):
                raise
            raise yaml.MarkedYAMLError(problem=f"a value that cannot be read: {first_line(error)}") from error

    return read


def check(text: str) -> None:
    """Check YAML before anything is built of it.

    Args:
        text: The YAML.

    Raises:
        TooMuch: If it goes beyond a limit of this module.
    """
    if len(text) > LENGTH:
        raise TooMuch(f"{len(text):,} characters; settings have at most {LENGTH:,}")
    sizes: dict[str | None, int] = {}  # values that an anchor stands for
    open_: list[tuple[str | None, int]] = []  # anchors of the collections around, and where they began to count
    keys: list[_Keys | None] = []  # of those collections; none of a list
    count = 0
    event: Any  # the stubs allow an anchor and an end of None everywhere
    try:
        for event in yaml.parse(text, Loader=_Events):
            if isinstance(event, yaml.CollectionEndEvent):
                keys.pop()
                anchor, start = open_.pop()
                if anchor:
                    sizes[anchor] = count - start
                continue
            if (
                isinstance(event, yaml.NodeEvent)
                and keys
                and (mapping := keys[-1])
                and (name := mapping.repeated_key(event))
            ):
                raise TooMuch(f"{name} is given twice, of which one would be lost", event.start_mark)
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in sizes and any(anchor == event.anchor for anchor, _ in open_):
                    raise TooMuch(f"*{event.anchor} holds itself", event.start_mark)
                count += sizes.get(event.anchor, 1)
            elif isinstance(event, yaml.NodeEvent):
                size = 1 + len(getattr(event, "value", "")) // CHARACTERS
                if isinstance(event, yaml.CollectionStartEvent):
                    open_.append((event.anchor, count))
                    keys.append(_Keys() if isinstance(event, yaml.MappingStartEvent) else None)
                    sizes.pop(event.anchor, None)
                elif event.anchor:
                    sizes[event.anchor] = size
                count += size
                if isinstance(event, yaml.ScalarEvent) and _is_long_number(event):
                    raise TooMuch(f"a number of {len(event.value)} digits; at most {DIGITS}", event.start_mark)
            if len(open_) > DEPTH:
                raise TooMuch(f"nested more than {DEPTH} levels deep", event.start_mark)
            if count > VALUES:
                raise TooMuch(f"more than {VALUES:,} values, aliases written out", event.start_mark)
    except TooMuch:
        raise
    except (yaml.YAMLError, UnicodeEncodeError):  # a path need be no text
        return  # who reads it says what is wrong, and where


def check_words(words: Sequence[str]) -> None:
    """Check a command line, whose values a parser reads as YAML.

    Args:
        words: Its words.

    Raises:
        TooMuch: If one goes beyond a limit of this module; the option before it is named.
    """
    option = ""
    for word in words:
        if word.startswith("--"):
            option, _, word = word.partition("=")
        try:
            check(word)
        except TooMuch as error:
            raise TooMuch(f"{option}: {error}" if option else str(error)) from None


class _Keys:
    """The keys of a mapping so far, of which each comes before its value."""

    def __init__(self) -> None:
        self.is_next = True
        self.known: set[str] = set()

    def repeated_key(self, event: yaml.NodeEvent) -> str:
        """Return the key that comes next, if the mapping has it; else nothing."""
        is_key, self.is_next = self.is_next, not self.is_next
        if not is_key or not isinstance(event, yaml.ScalarEvent):
            return ""
        known = event.value in self.known
        self.known.add(event.value)
        return repr(event.value[:80]) if known else ""


def _is_long_number(event: yaml.ScalarEvent) -> bool:
    if len(event.value) <= DIGITS or event.style:  # quoted or a block: text
        return False
    return re.fullmatch(r"[-+]?(0[xob])?[0-9a-fA-F_.:]+([eE][-+]?[0-9_]+)?", event.value) is not None
