"""Where face, body and joints are: a table by video and time, or a detector that somebody else wrote."""

import importlib
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.matches import tell_copies
from datamodules.store import DataError
from datamodules.tables import Row, Table, settle
from datamodules.windows import FPS

JOINTS = 17  # COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right
SIDES = ("left", "top", "right", "bottom")
COLUMNS = {
    "face": [f"face_{side}" for side in SIDES],
    "body": [f"body_{side}" for side in SIDES],
    "joints": [f"j{joint}_{value}" for joint in range(JOINTS) for value in ("x", "y", "score")],
}
_NUMBERS = ["time", *(name for columns in COLUMNS.values() for name in columns)]
WIDTHS = {"face": (4,), "body": (4,), "joints": (JOINTS, 3)}

Found = dict[str, np.ndarray]  # "face" (4,), "body" (4,), "joints" (17, 3) in pixels; NaN where not found
Detector = Callable[[np.ndarray], dict[str, Any]]


def nothing() -> Found:
    """Return the empty detection."""
    return {name: np.full(shape, np.nan) for name, shape in WIDTHS.items()}


def read_boxes(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads a table of boxes and joints in pixels of the video.

    Args:
        path: CSV with columns video and time (seconds from the first frame), and those of ``COLUMNS`` for the face, the
            body or the joints, or several of them. Empty values mean not found.

    Returns:
        Rows by video, float64 ``(n, 1 + 4 + 4 + 51)``: time, face, body, joints, sorted by time; and which of face,
        body and joints the table has.

    Raises:
        DataError: If the table cannot be read, lacks columns, holds what is no number or says two things of one moment.
    """
    table = Table(path, ("video", "time"), "--boxes")
    present = [part for part, columns in COLUMNS.items() if set(columns) <= set(table.names)]
    if not present:
        raise DataError(
            f"--boxes {path}: at least one of face_left ... face_bottom, body_left ... body_bottom, j0_x ... "
            "j16_score is needed beside video and time; docs/data.md shows them"
        )
    known = ["video", "time", *(name for part in present for name in COLUMNS[part])]
    if unknown := [name for name in table.names if name not in known]:
        raise DataError(
            f"--boxes {path}: column {unknown[0]!r} is none of docs/data.md, or others of its part are not there"
        )
    rows, copies = settle(((row["video"], row["time"]), _Moment(_numbers(row).tobytes()), row.place) for row in table)
    if not rows:
        raise DataError(f"--boxes {path}: the table has no rows")
    tell_copies(path, copies)
    found: dict[str, list[np.ndarray]] = {}
    for (video, _), moment in rows.items():
        found.setdefault(video, []).append(np.frombuffer(moment))
    tables = {name: np.stack(values) for name, values in found.items()}
    return {name: values[np.argsort(values[:, 0], kind="stable")] for name, values in tables.items()}, present


class _Moment(bytes):
    """The numbers of a row, as little memory as they take; what is not found equals what is not found."""

    def __str__(self) -> str:
        return " ".join(f"{value:g}" for value in np.frombuffer(self))


def _numbers(row: Row) -> np.ndarray:
    """Return time, face, body and joints of a row, NaN where it has none."""
    try:
        numbers = [float(row.get(name) or "nan") for name in _NUMBERS]
    except ValueError as error:
        raise DataError(f"{row.where}: {error}") from None
    if math.isnan(numbers[0]):
        raise DataError(f"{row.where}: it has no time")
    for part, (left, top, right, bottom) in (("face", numbers[1:5]), ("body", numbers[5:9])):
        if right <= left or bottom <= top:  # False where one of them is NaN
            raise DataError(f"{row.where}: the {part} box ends before it begins")
    return np.array(numbers)


def at_step(table: np.ndarray | None, step: int) -> Found:
    """What a video's table says of a grid step: its row nearest in time, if that is within half a step."""
    if table is None or not len(table):
        return nothing()
    time = step / FPS
    row = table[np.abs(table[:, 0] - time).argmin()]
    if abs(row[0] - time) > 0.5 / FPS + 1e-6:
        return nothing()
    return {"face": row[1:5], "body": row[5:9], "joints": row[9:].reshape(JOINTS, 3)}


@lru_cache(maxsize=1)
def load_detector(name: str) -> Detector:
    """Imports a detector.

    Args:
        name: ``package.module:function``; the function takes an RGB picture uint8 ``(H, W, 3)`` and returns a dict with
            ``face`` or ``body`` (left, top, right, bottom) or ``joints`` ``(17, 3)``, None where there is none.

    Raises:
        DataError: If there is no such function.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise DataError(f"--detector {name}: name it package.module:function")
    sys.path.insert(0, "")  # a file in the working directory will do
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"--detector {name}: {error}; name it package.module:function") from None
    finally:
        sys.path.remove("")
    if not callable(found):
        raise DataError(f"--detector {name}: not a function")
    detector: Detector = found
    return detector


def detected(name: str, picture: np.ndarray) -> Found:
    """What a detector says of a picture.

    Raises:
        DataError: If it returns something else than it should.
    """
    detector = load_detector(name)
    try:
        said = detector(picture)
    except Exception as error:  # somebody else's code
        raise DataError(f"--detector {name} failed on a picture {picture.shape}: {error!r}") from error
    if not isinstance(said, dict):
        raise DataError(f"--detector {name}: returned a {type(said).__name__}, wanted is a dict; see docs/data.md")
    found = nothing()
    for part, shape in WIDTHS.items():
        value = said.get(part)
        if value is not None:
            values = np.asarray(value, np.float64)
            if values.shape != shape:
                raise DataError(f"--detector {name}: {part} is {values.shape}, wanted is {shape}")
            found[part] = values
    return found
