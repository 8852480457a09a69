"""audformat (https://audeering.github.io/audformat/): ``db.yaml`` and a ``db.<table>.csv`` for each of its tables.

Rows are files, or parts of files by start and end; columns refer to a scheme (emotion, speaker, arousal, ...) and to
who rated, tables to a split. Several raters of emotion give shares, of a value its mean.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import DataError
from datamodules.reading.files import check_regular
from datamodules.reading.listing import VALUES, Listing, as_text, listing_of
from datamodules.reading.names import SPLIT_NAMES
from datamodules.reading.numbers import number
from datamodules.reading.tables import Place, Row, read_table

HEADER = "db.yaml"
CLASSES = ("emotion", "emotions", "emotion.category", "label")  # schemes that name a class
_NEEDED = ("name", "source", "usage")
_TEXTS = ("text", "transcription", "transcript")
_Key = tuple[str, str, str]


def read(path: Path, source: Path) -> Listing:
    """Return the rows of all tables as one: what is said of a file holds for each of its parts.

    Raises:
        DataError: It is no header, a table is missing, or names no file.
    """
    header = _read_header(path)
    found: defaultdict[_Key, dict[str, str]] = defaultdict(dict)
    votes: defaultdict[_Key, dict[str, str]] = defaultdict(dict)
    rated: defaultdict[tuple[_Key, str], dict[str, float]] = defaultdict(dict)
    places: dict[_Key, Place] = {}
    for name, table in _mapping(header, "tables").items():
        columns = _mapping(table, "columns")
        split = str(table.get("split_id") or "")
        split = SPLIT_NAMES.get(str(_mapping(_mapping(header, "splits"), split).get("type", split)).lower(), "")
        for row in _read_table(path, name):
            key = (row["file"], row.get("start", ""), row.get("end", ""))
            places.setdefault(key, row.place)
            if split:
                found[key]["split"] = split
            for column, about in columns.items():
                scheme, rater = str((about or {}).get("scheme_id") or column), (about or {}).get("rater_id") or "gold"
                value = row.get(column, "")
                if not value:
                    continue
                if scheme in CLASSES:
                    votes[key][str(rater)] = value
                elif scheme in VALUES and (rating := number(value, f"{row.where}: {column}")) is not None:
                    rated[key, scheme][str(rater)] = rating
                else:
                    found[key]["speaker" if scheme == "speaker" else "text" if scheme in _TEXTS else column] = value
    raters = list(dict.fromkeys(rater for given in votes.values() for rater in given))
    for key, given in votes.items():
        found[key] |= {f"label_{rater}" if len(raters) > 1 else "label": value for rater, value in given.items()}
    for (key, scheme), ratings in rated.items():
        found[key][scheme] = repr(sum(ratings.values()) / len(ratings))
    rows = _rows(found, places)
    if not rows:
        raise DataError(f"{path}: its tables hold no row; get the database anew")
    listing = listing_of(f"{path.name}, audformat's {header['name']}", rows)
    return Listing(listing.what, listing.rows, listing.names, _ranges(_mapping(header, "schemes")))


def _read_header(path: Path) -> dict[str, Any]:
    try:
        check_regular(path)
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; get the database anew") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: no YAML ({str(error).splitlines()[0][:80]}); get the database anew") from None
    if not isinstance(content, dict) or (missing := [name for name in _NEEDED if name not in content]):
        lacks = ", ".join(missing) if isinstance(content, dict) else "everything"
        raise DataError(f"{path}: no header of audformat, it lacks {lacks}; get the database anew")
    return content


def _mapping(content: Any, name: str) -> dict[str, Any]:
    """Return a part of the header that is a mapping; empty where it is none."""
    found = content.get(name) if isinstance(content, dict) else None
    return {as_text(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _read_table(path: Path, name: str) -> list[Row]:
    table = path.with_name(f"{path.stem}.{name}.csv")
    if not table.is_file():
        others = sorted(one.name for one in path.parent.glob(f"{path.stem}.{name}.*"))
        there = f", only {others[0]}; save the database with storage_format='csv'" if others else "; get it anew"
        raise DataError(f"{path}: no table {table.name}{there}")
    return read_table(table, ("file",))


def _rows(found: dict[_Key, dict[str, str]], places: dict[_Key, Place]) -> list[Row]:
    """Return a row for every part, and for every file without parts."""
    parts: defaultdict[str, list[_Key]] = defaultdict(list)
    for key in places:
        parts[key[0]] += [key] if key[1:] != ("", "") else []
    rows = []
    for key, place in places.items():
        file, start, end = key
        if (start, end) == ("", "") and parts[file]:
            continue
        own = {"file": file} | ({"start": start, "end": end} if parts[file] else {})
        rows.append(Row(own | found.get((file, "", ""), {}) | found.get(key, {}), place))
    return rows


def _ranges(schemes: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the least and greatest value of the values that the header declares."""
    known = {name: schemes[name] for name in VALUES if isinstance(schemes.get(name), dict)}
    ends = {name: (scheme.get("minimum"), scheme.get("maximum")) for name, scheme in known.items()}
    return {
        name: (float(low), float(high))
        for name, (low, high) in ends.items()
        if isinstance(low, int | float) and isinstance(high, int | float)
    }
