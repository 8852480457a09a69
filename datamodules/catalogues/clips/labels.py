"""What the columns of a table of clips mean: classes by name, shares of raters, values; the rest is metadata."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category

import numpy as np

from datamodules.entries import Series
from datamodules.errors import DataError
from datamodules.media.people_in_picture import PERSON, RULES, names_person
from datamodules.reading.listing import FILES, VALUES, Listing, nearest
from datamodules.reading.names import UNSHOWN, distinct
from datamodules.reading.numbers import number
from datamodules.reading.tables import Row
from error_texts import first_names

TASK = "label"  # of the classes
TASKS = ("emotion", "emo", "expression")  # a column that nkululeko and others have in place of `label`
OTHERS = (*FILES, "start", "end", "speaker", "text", "split", "fold")
MEANT = {
    **{name: name for name in OTHERS},
    **dict.fromkeys(("speaker_id", "subject", "participant", "actor", "person"), "speaker"),
    **dict.fromkeys(("partition", "subset", "set"), "split"),
    **{"transcript": "text", "utterance": "text", "start_time": "start", "end_time": "end"},
}  # what other people call the columns
PEOPLE = ("age", "gender", "sex", "language", "duration", "dataset", "database")  # that no task is called


@dataclass(frozen=True)
class Meaning:
    """What the columns are.

    Attributes:
        label: The one of the class; empty without one.
        soft: Columns of raters or of shares, with the name of the rater or class.
        values: Columns of values.
        metadata: All others.
        people: Whether the column `PERSON` says whom to follow in the picture.
    """

    label: str
    soft: dict[str, str]
    values: tuple[str, ...]
    metadata: tuple[str, ...]
    people: bool = False


@dataclass
class Labels:
    """Labels of all rows.

    Attributes:
        classes: Names of the classes in order of their index; empty where there are values alone.
        tasks: What is learned, as the store's settings have it.
        of_rows: Labels of a row as an entry has them; empty where it has none.
        columns: Columns of the index by row.
    """

    classes: list[str] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    of_rows: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, str]] = field(default_factory=list)


def meaning_of(listing: Listing, label: str, values: str) -> Meaning:
    """Return what the columns of a table are.

    Args:
        listing: The table.
        label: ``--label``: the column of the class; empty where not given.
        values: ``--values``: columns of values; empty where not given.

    Raises:
        DataError: There is no label, or an option names a column that is not there.
    """
    names = listing.names
    asked = [name.strip() for name in values.split(",") if name.strip()]
    for option, name in [("--label", label)] * bool(label) + [("--values", name) for name in asked]:
        if name not in names:
            raise DataError(f"{option} {name}: no such column in {listing.source}, which has {', '.join(names)}")
    found = tuple(asked or (name for name in names if name in VALUES and name != label))
    soft = {name: name[6:] for name in names if name.startswith("label_") and name[6:] and name not in found}
    people = PERSON not in (label, *found) and _says_whom(listing)
    known = (*OTHERS, *found, *soft, *([PERSON] if people else []))
    rest = [name for name in names if name not in known]
    label = label or next((name for name in ("label", *TASKS) if name in rest and (name == "label" or not soft)), "")
    if not label and not soft and not found:
        label = _only_task(listing, rest)
    if label and soft:
        print(f"  {label} is the class; {', '.join(soft)} left aside (leave {label} out, to learn shares)")
        soft = {}
    metadata = tuple(name for name in names if name not in (*known, label) and name[:6] != "label_")
    for name in metadata:
        if (meant := MEANT.get(nearest(name, MEANT, 0.8), name)) not in names:
            print(f"  {name} is kept as metadata; if it is the {meant} of a clip, call the column {meant}")
    return Meaning(label, soft, found, metadata, people)


def _says_whom(listing: Listing) -> bool:
    """Return whether a table has a column that says whom to follow; one of names is not meant so.

    Raises:
        DataError: Some of its cells say so, others do not.
    """
    rows = [row for row in listing.rows if row.get(PERSON)]
    odd = [row for row in rows if not names_person(_whom(row))]
    if rows and not odd:
        print(f"  {PERSON}: whom to follow in the picture, in {len(rows)} of {len(listing.rows)} rows (who it is "
              "belongs in a column speaker)")  # fmt: skip
    elif len(odd) < len(rows):
        raise DataError(f"{odd[0].where}: {PERSON} is {odd[0][PERSON]!r}; whom to follow is {', '.join(RULES)} or a "
                        "number from 1 on: from the left; who it is belongs in a column speaker")  # fmt: skip
    return bool(rows) and not odd


def _whom(row: Row) -> str:
    """Return whom a row says to follow, a whole number as such however a spreadsheet wrote it."""
    return row[PERSON].lower().removesuffix(".0")


def _only_task(listing: Listing, rest: Sequence[str]) -> str:
    """Return the only column that could be a class, as nkululeko's tables have it."""
    tasks = [name for name in rest if name not in PEOPLE]
    if len(tasks) == 1 and not nearest(tasks[0], [one for one in OTHERS if one not in listing.names]):
        return tasks[0]
    meant = next((name for name in tasks if nearest(name, ("label", *VALUES))), "")
    hint = f"{meant!r} may be what is called {nearest(meant, ('label', *VALUES))!r}; " if meant else ""
    raise DataError(
        f"{listing.source}: no column label (nor label_<class>, nor one of {', '.join(VALUES)}) among "
        f"{', '.join(map(repr, listing.names))}; {hint}name the one of the class with --label NAME, of numbers with "
        "--values NAME"
    )


def read_labels(listing: Listing, meaning: Meaning, classes: str) -> Labels:
    """Return the labels of all rows.

    Args:
        listing: The table.
        meaning: Of its columns.
        classes: ``--classes``: their names in order; sorted where not given.

    Raises:
        DataError: A class is none of those given, there is one class, or a number is none.
    """
    if classes and not (meaning.label or meaning.soft):
        raise DataError(f"--classes {classes}: {listing.source} has no column of classes; leave the option out")
    order = distinct([name.strip() for name in classes.split(",")], "--classes") if classes else []
    found = Labels()
    numbers = [{name: number(row[name], f"{row.where}: {name}") for name in meaning.values} for row in listing.rows]
    if meaning.soft:
        shares = _votes(listing, meaning) if _are_names(listing, meaning) else _shares(listing, meaning)
        found.classes = _ordered({name for row in shares for name in row}, order, listing)
        found.tasks[TASK] = {"kind": "soft", "classes": found.classes}
    elif meaning.label:
        _check_words(listing, meaning.label)
        shares = [{row[meaning.label]: 1.0} if row[meaning.label] else {} for row in listing.rows]
        found.classes = _ordered({name for row in shares for name in row}, order, listing, meaning.label)
        found.tasks[TASK] = {"kind": "classes", "classes": found.classes}
    else:
        shares = [{} for _ in listing.rows]
    for name in meaning.values:
        found.tasks[name] = {"kind": "value", "unit": "", "range": listing.ranges.get(name)}
    for row, own, given in zip(listing.rows, shares, numbers, strict=True):
        labels: dict[str, Any] = {}
        if own and meaning.soft:
            labels[TASK] = Series(np.array([[own.get(name, 0.0) for name in found.classes]], np.float32))
        elif own:
            labels[TASK] = found.classes.index(next(iter(own)))
        labels |= {name: value for name, value in given.items() if value is not None}
        found.of_rows.append(labels)
        soft = {f"soft_{name}": repr(own.get(name, 0.0)) if own else "" for name in found.classes if meaning.soft}
        as_values = {f"value_{name}": "" if value is None else repr(value) for name, value in given.items()}
        people = {PERSON: _whom(row)} if meaning.people else {}
        found.columns.append(people | soft | as_values | {f"meta_{name}": row[name] for name in meaning.metadata})
    return found


def _ordered(names: set[str], order: Sequence[str], listing: Listing, column: str = "label_...") -> list[str]:
    """Return the classes in their order."""
    if unknown := sorted(names - set(order)) if order else []:
        near = nearest(unknown[0], order)
        hint = f"; {unknown[0]!r} may be {near!r}" if near else ""
        raise DataError(f"--classes {','.join(order)}: {listing.source} has {first_names(unknown)} besides{hint}")
    for name in sorted(names):
        if any(category(letter) in UNSHOWN for letter in name):
            raise DataError(f"{listing.source}: {name!r} cannot be the name of a class: it holds a control character")
    folded = Counter(name.casefold() for name in names)
    if alike := sorted(name for name in names if folded[name.casefold()] > 1):
        print(f"  {', '.join(alike)} differ in capitals alone and are different classes; mend the table if not")
    known = list(order) or sorted(names)
    if len(known) == 1:
        raise DataError(
            f"{listing.source}: every {column} is {known[0]!r}, and one class cannot be learned; add clips of others"
        )
    if len(known) > 20 and 2 * len(known) > len(listing.rows):
        print(
            f"  {len(known)} classes of {len(listing.rows)} clips: if {column} is not the class, --label NAME names it"
        )
    return known


def _are_names(listing: Listing, meaning: Meaning) -> bool:
    """Return whether the columns of raters hold names of classes and no numbers.

    Raises:
        DataError: They hold both.
    """
    cells = [(row, name, row[name]) for row in listing.rows for name in meaning.soft if row[name]]
    kinds = {_is_number(value) for _, _, value in cells}
    if len(kinds) > 1:
        first = _is_number(cells[0][2])
        row, name, value = next(cell for cell in cells if _is_number(cell[2]) != first)
        raise DataError(
            f"{row.where}: {name} is {value!r}; the columns label_... hold shares of classes or the words of raters, "
            "not both; correct it"
        )
    return kinds == {False}


def _check_words(listing: Listing, column: str) -> None:
    """Refuse a column of numbers as that of the class, unless they are whole.

    Raises:
        DataError: All are numbers, and some are fractions.
    """
    cells = [row[column] for row in listing.rows if row[column]]
    if (
        cells
        and all(map(_is_number, cells))
        and not all(one.lstrip("+-").removesuffix(".0").isdecimal() for one in cells)
    ):
        raise DataError(f"{listing.source}: {column} holds numbers, no names of classes; --values {column} learns them")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _votes(listing: Listing, meaning: Meaning) -> list[dict[str, float]]:
    """Return by row the share of the raters that named a class."""
    found = []
    for row in listing.rows:
        votes = Counter(row[name] for name in meaning.soft if row[name])
        found.append({name: count / votes.total() for name, count in sorted(votes.items())})
    return found


def _shares(listing: Listing, meaning: Meaning) -> list[dict[str, float]]:
    """Return by row the shares of the classes, which add up to 1; none where all are empty or 0."""
    found = []
    for row in listing.rows:
        given = {name: number(row[column], f"{row.where}: {column}") or 0.0 for column, name in meaning.soft.items()}
        if lowest := min(given.values()) < 0 and min(given, key=given.__getitem__):
            raise DataError(f"{row.where}: the share of {lowest} is below 0; correct it")
        total = sum(given.values())
        found.append({name: share / total for name, share in given.items()} if total else {})
    return found
