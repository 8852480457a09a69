"""Features of a clip in a table of its own, a row per step: OpenFace, openSMILE and the like.

Of a table with ``confidence`` and ``success`` (OpenFace) the rows that hold no face are left out; of one with several
faces (``face_id``) the one that has most rows is kept. A value that is no number costs its row. Nothing is filled in:
rows that are missing stay missing.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from datamodules.errors import DataError
from datamodules.reading.numbers import DECIMAL_COMMA, clock
from datamodules.reading.tables import Row, Table
from error_texts import first_names

CONFIDENCE = 0.7  # OpenFace's author takes less for a failure
TIMES = ("timestamp", "frameTime", "start", "frame")
BESIDE = (*TIMES, "end", "face_id", "confidence", "success", "file", "name")  # no features, unless named in full
_NO_NUMBER = re.compile(r"[+-]?(?:nan|inf(?:inity)?|1\.#\w+)(?:\(\w*\))?", re.IGNORECASE)


def choose_columns(path: Path, patterns: Sequence[str]) -> list[str]:
    """Return the columns of a table that patterns name, in the order of the patterns.

    Args:
        path: The table.
        patterns: Names, or globs (``AU*_r``), which never match times, confidences and the like.

    Raises:
        DataError: If the table cannot be read, or a pattern matches none.
    """
    names, chosen = Table(path).names, []
    for pattern in patterns:
        found = [name for name in names if name == pattern or (fnmatchcase(name, pattern) and name not in BESIDE)]
        if not found:
            raise DataError(f"--data.columns: {path} has no column {pattern!r}; it has {first_names(names)}")
        chosen += [name for name in found if name not in chosen]
    return chosen


def read_clip_table(path: Path, columns: list[str], confidence: float, told: Counter[str]) -> np.ndarray:
    """Read the features of a clip.

    Args:
        path: The table.
        columns: Which columns.
        confidence: Rows below it hold no face.
        told: What was left out, counted by reason; added to.

    Returns:
        float32 ``(T, D)``, in order of time where there is a column of `TIMES`; T may be 0.

    Raises:
        DataError: If the table cannot be read, lacks a column, or a value is a word or has a decimal comma.
    """
    table = Table(path, columns)
    numbers: list[list[float]] = []
    times: list[float] = []
    faces: list[str] = []
    timed = next((name for name in TIMES if name in table.names), None)
    for row in table:
        values = [_number(row, name) for name in columns]
        if not _has_face(row, confidence):
            told[f"without a face (confidence below {confidence:g}, or no success)"] += 1
        elif not all(map(math.isfinite, values)):
            told["with a value that is no number"] += 1
        else:
            numbers.append(values)
            times.append(_time(row, timed) if timed else 0.0)
            faces.append(row.get("face_id", ""))
    if len(set(faces)) > 1:
        main = Counter(faces).most_common(1)[0][0]
        told["of other faces"] += sum(face != main for face in faces)
        kept = [place for place, face in enumerate(faces) if face == main]
        numbers, times = [numbers[place] for place in kept], [times[place] for place in kept]
    order = np.argsort(np.array(times), kind="stable")
    return np.array(numbers, np.float32).reshape(-1, len(columns))[order]


def _has_face(row: Row, confidence: float) -> bool:
    """Return whether the columns that say so, where there are any, tell of a face."""
    if "success" in row and not _number(row, "success") > 0:
        return False
    return "confidence" not in row or _number(row, "confidence") >= confidence


def _number(row: Row, column: str) -> float:
    """Return a number; NaN for what programs write where there is none."""
    text = row[column]
    try:
        return float(text)
    except ValueError:
        pass
    if not text or _NO_NUMBER.fullmatch(text):
        return math.nan
    if DECIMAL_COMMA.fullmatch(text):
        raise DataError(f"{row.where}: {column} is {text[:20]!r}, with a decimal comma; write the table with points")
    raise DataError(f"{row.where}: {column} is {text[:20]!r}, not a number; leave it out of --data.columns")


def _time(row: Row, column: str) -> float:
    time = clock(row[column])
    return _number(row, column) if time is None else time
