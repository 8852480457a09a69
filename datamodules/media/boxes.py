"""Boxes of face and body, and joints: from a table by video and time, or from a third-party detector."""

import importlib
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.errors import DataError
from datamodules.media.faces import LEAST
from datamodules.reading.matches import print_copies
from datamodules.reading.tables import Row, Table, settle
from datamodules.shapes.grids.window_rules import FPS

Part = Literal["face", "body", "joints"]
PARTS: tuple[Part, ...] = ("face", "body", "joints")
NEAR = 6  # folders above a raw file in which a table of boxes is looked for
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


def empty_detection() -> Found:
    """Return the empty detection."""
    return {name: np.full(shape, np.nan) for name, shape in WIDTHS.items()}


def read_boxes(path: Path, option: str = "--boxes") -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Read a table of boxes and joints in pixels of the video.

    Args:
        path: CSV with columns video and time (seconds from the first frame), and those of ``COLUMNS`` for the face, the
            body or the joints, or several of them. Empty values mean not found.
        option: What named it, for messages.

    Returns:
        Rows by video, float64 ``(n, 1 + 4 + 4 + 51)``: time, face, body, joints, sorted by time; and which of face,
        body and joints the table gives: with joints comes the body around them.

    Raises:
        DataError: The table cannot be read, lacks columns, holds what is no number or says two things of one moment.
    """
    table = Table(path, ("video", "time"), option)
    present = {part for part, columns in COLUMNS.items() if set(columns) <= set(table.names)}
    if not present:
        raise DataError(
            f"{option} {path}: at least one of face_left ... face_bottom, body_left ... body_bottom, j0_x ... "
            "j16_score is needed beside video and time; docs/data.md shows them"
        )
    known = ["video", "time", *(name for part in present for name in COLUMNS[part])]
    if unknown := [name for name in table.names if name not in known]:
        raise DataError(
            f"{option} {path}: column {unknown[0]!r} is none of docs/data.md, or others of its part are not there"
        )
    rows, copies = settle(((row["video"], row["time"]), _Moment(_numbers(row).tobytes()), row.place) for row in table)
    if not rows:
        raise DataError(f"{option} {path}: the table has no rows")
    print_copies(path, copies)
    found: dict[str, list[np.ndarray]] = {}
    for (video, _), moment in rows.items():
        found.setdefault(video, []).append(np.frombuffer(moment))
    tables = {name: np.stack(values) for name, values in found.items()}
    given = present | ({"body"} if "joints" in present else set())
    ordered = {name: values[np.argsort(values[:, 0], kind="stable")] for name, values in tables.items()}
    return ordered, tuple(part for part in PARTS if part in given)


class _Moment(bytes):
    """The numbers of a row, as little memory as they take; what is not found equals what is not found."""

    def __str__(self) -> str:
        return " ".join(f"{value:g}" for value in np.frombuffer(self))


def rows_beside(path: Path, table: Path) -> np.ndarray | None:
    """Return the rows about a raw file of the table of that name in its folder or in one above; None without any."""
    tables = (folder / table for folder in path.absolute().parents[:NEAR])
    found = next((one for one in tables if one.is_file()), None)
    return _all_rows(found).get(path.stem) if found else None


@lru_cache(maxsize=4)
def _all_rows(table: Path) -> dict[str, np.ndarray]:
    """Return the rows of a table by the last name of their video, of several of that name the last."""
    return {name.rpartition("/")[2]: rows for name, rows in read_boxes(table, "boxes.csv")[0].items()}


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
    """Return the detection of a grid step: a video's row nearest in time, if that is within half a step."""
    if table is None or not len(table):
        return empty_detection()
    time = step / FPS
    row = table[np.abs(table[:, 0] - time).argmin()]
    if abs(row[0] - time) > 0.5 / FPS + 1e-6:
        return empty_detection()
    return {"face": row[1:5], "body": row[5:9], "joints": row[9:].reshape(JOINTS, 3)}


def around(joints: np.ndarray) -> np.ndarray:
    """Return the box around the joints that are known, float64 ``(4,)``; NaN where they are fewer than two."""
    points = joints[~np.isnan(joints).any(1), :2]
    return np.concatenate([points.min(0), points.max(0)]) if len(points) > 1 else np.full(4, np.nan)


def grown(box: np.ndarray, margin: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return a box with a margin, cut at the edges of the picture; None where that shows nothing.

    Args:
        box: Left, top, right, bottom in pixels; NaN where there is none.
        margin: Pixels added left and right, and above and below.
        size: Width and height of the picture.
    """
    if not np.isfinite(box).all():
        return None
    wider = np.clip(np.round(box + np.array([-1, -1, 1, 1]) * np.tile(margin, 2)), 0, np.tile(size, 2))
    left, top, right, bottom = wider.astype(int).tolist()
    return (left, top, right, bottom) if right - left >= LEAST and bottom - top >= LEAST else None


def relative(joints: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray | None:
    """Return joints relative to a box, float32 ``(17, 3)``, zeros for those not found; None where none is."""
    left, top, right, bottom = box
    there = ~np.isnan(joints).any(1)
    x, y, score = joints[there].T
    placed = np.zeros((JOINTS, 3), np.float32)
    placed[there] = np.stack([(x - left) / (right - left), (y - top) / (bottom - top), score], axis=1)
    return placed if placed.any() else None


@lru_cache(maxsize=1)
def load_detector(name: str, option: str = "detector") -> Detector:
    """Import a third-party detector and return it.

    Args:
        name: ``package.module:function``; the function takes an RGB picture uint8 ``(H, W, 3)`` and returns a dict with
            ``face`` or ``body`` (left, top, right, bottom) or ``joints`` ``(17, 3)``, None where there is none.
        option: What named it, for messages.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise DataError(f"{option} {name}: name it package.module:function")
    sys.path.insert(0, "")  # a file in the working directory will do
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"{option} {name}: {error}; name it package.module:function") from None
    finally:
        sys.path.remove("")
    if not callable(found):
        raise DataError(f"{option} {name}: not a function")
    detector: Detector = found
    return detector


def detected(name: str, picture: np.ndarray) -> Found:
    """Return the detection of a detector in a picture.

    Raises:
        DataError: It fails or returns something else than it should.
    """
    detector = load_detector(name)
    try:
        detection = detector(picture)
    except Exception as error:  # somebody else's code
        raise DataError(f"detector {name} failed on a picture {picture.shape}: {error!r}") from error
    if not isinstance(detection, dict):
        raise DataError(f"detector {name}: returned a {type(detection).__name__}, wanted is a dict; see docs/data.md")
    found = empty_detection()
    for part, shape in WIDTHS.items():
        value = detection.get(part)
        if value is not None:
            values = np.asarray(value, np.float64)
            if values.shape != shape:
                raise DataError(f"detector {name}: {part} is {values.shape}, wanted is {shape}")
            found[part] = values
    return found
