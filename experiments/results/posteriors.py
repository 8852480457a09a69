"""Class probabilities per clip that others published, joined to clips of ours by id."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.errors import DataError
from datamodules.reading.tables import Place, read_table
from error_texts import first_names

ID_COLUMNS = ("id", "name", "file", "filename", "clip", "path", "video", "video_name")
# A name of RAVDESS: the clips of one trial, with and without picture or sound, differ in the first field alone.
_TRIAL = re.compile(r"0[123]((?:-\d\d){6})")
_NUMBERED = re.compile(r"(\D*)(\d{1,4})")
_SUM = 0.01  # that published probabilities, rounded, may differ from 1


@dataclass(frozen=True)
class Posteriors:
    """What others predicted for clips of ours.

    Attributes:
        path: Their file.
        predicted: Their most probable class by id of ours.
        unknown: Their ids that none of our clips has.
    """

    path: Path
    predicted: dict[str, int]
    unknown: list[str]


def read_posteriors(path: Path, class_names: Sequence[str], ids: Iterable[str], option: str = "") -> Posteriors:
    """Read a table of probabilities and find the clips of ours that it is about.

    Args:
        path: CSV with one of `ID_COLUMNS` and a column per class: its name, also with ``p_`` before it, or its number,
            from 0 or from 1, also with the same word before all.
        class_names: Names of our classes in order of their index.
        ids: Our clips. A folder or an ending of a file in theirs does not count, of RAVDESS neither does the modality.
        option: What named the file on the command line, for messages.

    Raises:
        DataError: If the file cannot be read, its columns are no classes of ours, a row holds no probabilities, a clip
            comes twice, or none is ours.
    """
    where = f"{option} {path}".lstrip()
    rows = read_table(path, option=option)
    columns = list(rows[0]) if rows else []
    column = next((name for name in columns if name.casefold() in ID_COLUMNS), None)
    if column is None:
        raise DataError(f"{where}: no row or no column of ids; it is called {', '.join(ID_COLUMNS)}")
    classes = _classes([name for name in columns if name != column], class_names, where)
    ours = {_trial(clip): clip for clip in ids}
    predicted, places, unknown = dict[str, int](), dict[str, Place](), []
    for row in rows:
        try:
            shares = np.array([float(row[name]) for name in classes])
        except ValueError as error:
            raise DataError(f"{row.where}: {error}; expected a probability per class") from None
        if wrong := _wrong(shares):
            raise DataError(f"{row.where}: {row[column]!r} has {wrong}; expected probabilities, which add up to 1")
        name = next((_trial(name) for name in _names(row[column]) if _trial(name) in ours), _names(row[column])[-1])
        if name in places:
            raise DataError(
                f"{row.where}: {row[column]!r} is the clip of line {places[name].line} again; leave one out"
            )
        places[name] = row.place
        if name in ours:
            predicted[ours[name]] = int(shares.argmax())
        else:
            unknown.append(row[column])
    if not predicted:
        raise DataError(
            f"{where}: no clip of it is ours: it has {first_names(unknown, 2)}, ours are "
            f"{first_names(list(ours.values()), 2)}"
        )
    return Posteriors(path, predicted, unknown)


def _wrong(shares: np.ndarray) -> str:
    """Return what is wrong with the probabilities of a clip; empty where nothing is."""
    if not np.isfinite(shares).all():
        return "a value that is no finite number"
    if shares.min() < 0 or abs(shares.sum() - 1) > _SUM:
        return f"values from {shares.min():g} that add up to {shares.sum():g}"
    return ""


def _trial(clip: str) -> str:
    found = _TRIAL.fullmatch(clip)
    return found[1] if found else clip


def _names(value: str) -> list[str]:
    """Return what a clip may be called: as it stands, without an ending, and both without folders."""
    plain = value.replace("\\", "/")
    found = [value, *(re.sub(r"\.[A-Za-z]\w{1,4}$", "", name) for name in (plain, plain.rpartition("/")[2]))]
    return list(dict.fromkeys(found))


def _classes(columns: Sequence[str], class_names: Sequence[str], where: str) -> list[str]:
    """Return the columns in order of our classes.

    Raises:
        DataError: If one is none, or a class has none.
    """
    numbered = [found for name in columns if (found := _NUMBERED.fullmatch(name))]
    numbers = sorted((int(found[2]), found[0]) for found in numbered)
    counted = [list(range(start, start + len(class_names))) for start in (0, 1)]
    one_word = len(numbers) == len(columns) and len({found[1] for found in numbered}) == 1
    if one_word and [number for number, _ in numbers] in counted:
        return [name for _, name in numbers]
    named = {name.casefold().removeprefix("p_"): name for name in columns}
    wanted = [name.casefold() for name in class_names]
    if strange := [column for name, column in named.items() if name not in wanted]:
        raise DataError(f"{where}: column {strange[0]!r} is none of our classes ({', '.join(class_names)}); rename it "
                        "or leave it out")  # fmt: skip
    if missing := [name for name, own in zip(class_names, wanted, strict=True) if own not in named]:
        raise DataError(f"{where}: no column of the class {first_names(missing)}; who chooses from fewer finds more")
    return [named[name] for name in wanted]
