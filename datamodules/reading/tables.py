"""Tables of any dialect, read in one way: delimiters and encodings are detected, what is unclear is refused.

UTF-8 with or without a byte order mark; comma, semicolon or tab; any line ending; blanks around names and values do
not count; line breaks inside quotation marks do. A row that does not fit the header is never guessed at.
"""

import csv
import io
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from datamodules.errors import DataError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
LONGEST = 1 << 24  # characters of a line, and of a field over several lines
csv.field_size_limit(LONGEST)  # 131,072 otherwise, of the whole process

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Place(NamedTuple):
    """A place in a file, for messages: the file as they name it, and the line from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        """Return the file and the line."""
        return f"{self.source}, line {self.line}"


NOWHERE = Place("", 0)


class Row(dict[str, str]):
    """Values of one row by column.

    Args:
        values: The same.
        place: Where it begins.
    """

    def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]] = (), place: Place = NOWHERE) -> None:
        super().__init__(values)
        self.place = place

    @property
    def line(self) -> int:
        """Line of the file at which it begins, from 1."""
        return self.place.line

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return str(self.place)


class Table:
    """A table whose header is read at once and whose rows when asked for, so that a large one takes no memory.

    A first column without a name that holds whole numbers is a row count that another program wrote; it is left out.
    Rows without any value are passed over.

    Args:
        path: The file.
        columns: Columns that it must have.
        option: What named the file on the command line, for messages.
        headerless: Whether the file may begin with data, its columns then being those of ``columns``, in their order.

    Attributes:
        names: Its columns.

    Raises:
        DataError: The file cannot be read or is empty, or its header lacks a column, a name, or names one twice. While
            rows are read: a row is wider or narrower than the header, a quotation mark is not closed, or a line is no
            UTF-8 text.
    """

    def __init__(self, path: Path, columns: Sequence[str] = (), option: str = "", headerless: bool = False) -> None:
        self.path = path
        self.source = f"{option} {path}".lstrip()
        first = next((line for line in self._lines() if line.strip()), "")
        if not first:
            raise DataError(f"{self.source}: the file is empty; docs/data.md says what it holds")
        self.delimiter = self._detect(first, columns)
        header, self.names = next((line, values) for line, values in self._records() if any(values))
        self._has_header = not (headerless and columns and self.names[0] != columns[0])
        if not self._has_header:
            self.names = list(columns)
        self._counted = self.names[0] in ("", "Unnamed: 0") and len(self.names) > 1  # the second is pandas' name of it
        where, named = f"{self.source}, line {header}", self.names[self._counted :]
        if "" in named:
            raise DataError(f"{where}: column {self.names.index('', self._counted) + 1} has no name; mend the header")
        if twice := sorted({name for name in named if named.count(name) > 1} if len(set(named)) < len(named) else ()):
            raise DataError(f"{where}: column {_quote(twice[0])} comes twice; mend the header")
        if missing := [name for name in columns if name not in named]:
            raise DataError(
                f"{self.source}: no column {', '.join(missing)}, it has {_quote(', '.join(named))}; docs/data.md says "
                "what it holds"
            )
        self.names = named

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order."""
        waiting = self._has_header
        width = len(self.names) + self._counted
        for line, values in self._records():
            if not any(values):
                continue
            if waiting:
                waiting = False
                continue
            if len(values) != width:
                raise DataError(
                    f"{self.source}, line {line}: {len(values)} values for {width} columns, divided at "
                    f"{DELIMITERS[self.delimiter]}; mend the file"
                )
            if self._counted and not values.pop(0).isdecimal():
                raise DataError(f"{self.source}, line {line}: column 1 has no name and is no row number; name it")
            yield Row(zip(self.names, values, strict=True), Place(self.source, line))

    def _detect(self, header: str, columns: Sequence[str]) -> str:
        """Return the delimiter that gives the wanted columns, the most columns of those."""
        found = {delimiter: _divide(header, delimiter) for delimiter in DELIMITERS}
        fitting = [delimiter for delimiter in DELIMITERS if set(columns) <= set(found[delimiter])] or list(DELIMITERS)
        most = max(len(found[delimiter]) for delimiter in fitting)
        best = [delimiter for delimiter in fitting if len(found[delimiter]) == most]
        if most > 1 and len(best) > 1:
            ways = " and ".join(DELIMITERS[delimiter] for delimiter in best)
            raise DataError(
                f"{self.source}, line 1: the header can be divided at {ways} alike; save it with one of them"
            )
        return best[0]

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the values of all rows, the header among them, with the line at which each begins."""
        reader = csv.reader(self._lines(), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                values = next(reader, None)
            except csv.Error as error:
                reason = "a quotation mark is not closed" if "unexpected end" in str(error) else str(error)
                raise DataError(f"{self.source}, line {line}: {reason}; mend the file") from None
            if values is None:
                return
            yield line, [value.strip() for value in values]

    def _lines(self) -> Iterator[str]:
        if not self.path.is_file():
            fault = "not a file" if self.path.exists() else "no such file"
            named = self.source != str(self.path)  # by an option: the page of a corpus is no help then
            step = "name one that is there" if named else "docs/data.md says what belongs there"
            raise DataError(f"{self.source}: {fault}; {step}")
        number = 0
        try:
            # Bytes that are no UTF-8 become surrogates, so that the line that holds them is known.
            with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                while line := file.readline(LONGEST):
                    number += 1
                    if len(line) == LONGEST:
                        raise DataError(
                            f"{self.source}, line {number}: longer than {LONGEST} characters; mend the file"
                        )
                    if "\0" in line or not (line.isascii() or _is_text(line)):
                        raise DataError(f"{self.source}, line {number}: not UTF-8 text; save the file as UTF-8")
                    yield line
        except OSError as error:
            raise DataError(f"{self.source}: cannot be read ({error.strerror})") from None


def read_table(path: Path, columns: Sequence[str] = (), option: str = "", headerless: bool = False) -> list[Row]:
    """Return all rows of a table, none where it has only a header; arguments and errors are those of `Table`."""
    return list(Table(path, columns, option, headerless))


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the text of a CSV with a header, its lines ending as on Unix."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def settle(entries: Iterable[tuple[K, V, Place | str]]) -> tuple[dict[K, V], int]:
    """Return the content of each key, in order, and how many equal copies there were besides.

    Args:
        entries: Key, its content, and where it stands.

    Raises:
        DataError: Two entries say different things of one key; both places are named.
    """
    found: dict[K, tuple[V, Place | str]] = {}
    copies = 0
    for key, content, where in entries:
        if key not in found:
            found[key] = (content, where)
            continue
        known, place = found[key]
        if known != content:
            own, other = _difference(content, known)
            raise DataError(f"{where}: {_quote(key)} {own}, but {other} in {place}; correct one of them")
        copies += 1
    return {key: content for key, (content, _) in found.items()}, copies


def _difference(one: object, other: object) -> tuple[str, str]:
    """Return two contents as a message may show them; of two mappings the first entry that differs."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        name = next(name for name in one if one[name] != other.get(name))
        return f"has {name} {_quote(one[name])}", _quote(other.get(name))
    return f"is {_quote(one)}", _quote(other)


def _divide(text: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error:
        return []


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quote(value: object) -> str:
    """Return a value of any length as a message may show it."""
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
