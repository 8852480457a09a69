"""The rows of a table of clips, of whatever format: its columns have the names that `labels.csv` has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.reading.files import check_regular, plain
from datamodules.reading.plain_json import parse_json
from datamodules.reading.tables import Place, Row, Table

HELP = "docs/data/clips.md shows tables that are read"
FILES = ("file", "video", "audio")  # columns that name one
VALUES = ("valence", "arousal", "dominance", "sentiment")  # columns of numbers to learn


@dataclass(frozen=True)
class Listing:
    """What a table says, row by row.

    Attributes:
        what: Which table it is, for messages.
        rows: With the columns of `labels.csv`: file (or video, audio), start, end, speaker, label, and so on.
        names: Of the columns, in order.
        ranges: Least and greatest value of a column that the table declares.
    """

    what: str
    rows: list[Row]
    names: list[str]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The file that the first row stands in, for messages."""
        return self.rows[0].place.source if self.rows else self.what


def listing_of(what: str, rows: Sequence[Row]) -> Listing:
    """Return rows whose columns may differ as one table: a column that a row has not is empty there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for row in rows:
        row.update({name: "" for name in names if name not in row})
    return Listing(what, list(rows), names)


def nearest(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """Return the known name that a name may be meant for; empty where none is as near as the least."""
    folded = {one.casefold(): one for one in known}
    return next((folded[one] for one in get_close_matches(name.casefold(), list(folded), 1, least)), "")


def read_rows(path: Path, option: str = "") -> tuple[list[Row], str]:
    """Return the rows of a table, JSON or parquet by the ending of the file, and what that is called.

    Raises:
        DataError: It cannot be read, or holds no row.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path), "parquet"
    if suffix in (".json", ".jsonl"):
        return read_records(path, option), "JSON lines"
    table = Table(path, (), option)
    rows = list(table)
    if not rows:
        names = ", ".join(table.names)
        raise DataError(f"{option} {path}: no row below the header ({names}); {HELP}".lstrip())
    return rows, "columns by name"


def read_records(path: Path, option: str = "") -> list[Row]:
    """Return the records of a file of JSON: one a line, a list of them, or an object of them by key.

    Values are texts, as a table has them; a list or an object is kept as JSON.

    Raises:
        DataError: It cannot be read, holds none, or a line is no JSON object.
    """
    source = f"{option} {path}".lstrip()
    try:
        check_regular(path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{source}: {error.strerror or error}; docs/data.md says what belongs there") from None
    except ValueError:
        raise DataError(f"{source}: not UTF-8 text; save the file as UTF-8") from None
    found = [Row(_texts(record, place), place) for record, place in _records(text, source)]
    if not found:
        raise DataError(f"{source}: the file is empty; docs/data.md says what it holds")
    return found


def _records(text: str, source: str) -> Iterator[tuple[Any, Place]]:
    try:
        content = parse_json(text)
    except ValueError:
        content = None
    if isinstance(content, list):
        yield from ((one, Place(source, place)) for place, one in enumerate(content, 1))
    elif isinstance(content, dict) and content and all(isinstance(one, dict) for one in content.values()):
        yield from (({"key": key, **one}, Place(source, place)) for place, (key, one) in enumerate(content.items(), 1))
    else:
        for line, one in enumerate(text.splitlines(), 1):
            if one.strip():
                try:
                    yield parse_json(one), Place(source, line)
                except ValueError as error:
                    raise DataError(f"{source}, line {line}: no JSON ({error}); mend the file") from None


def _texts(record: Any, place: Place) -> dict[str, str]:
    if not isinstance(record, dict):
        raise DataError(f"{place}: a {type(record).__name__} where an object of names and values belongs; mend it")
    return {plain(str(name)).strip(): as_text(value) for name, value in record.items()}


def _read_parquet(path: Path) -> list[Row]:
    """Return the rows of a parquet file.

    Raises:
        DataError: Nothing here reads it, or it is damaged.
    """
    import pandas

    try:
        check_regular(path)
        table = pandas.read_parquet(path)
    except ImportError:
        raise DataError(f"{path}: reading parquet needs pyarrow; install it, or save the table as CSV") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of parquet ({str(error).splitlines()[0][:80]}); get it anew") from None
    records = table.to_dict("records")
    return [
        Row({str(name).strip(): as_text(value) for name, value in record.items()}, Place(str(path), place))
        for place, record in enumerate(records, 1)
    ]


def as_text(value: Any) -> str:
    """Return a value of JSON or YAML as a table would have it."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return plain(value).strip()
    return repr(value)
