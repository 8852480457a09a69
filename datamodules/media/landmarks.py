"""Boxes of one face from an OpenFace table: a row is a face in a frame, rows can be missing, frames hold several."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from datamodules.errors import DataError, MediaError
from datamodules.media.faces import LEAST
from datamodules.reading.feature_csv import CONFIDENCE
from datamodules.reading.tables import Table

NEAR = 0.5  # seconds; a box that is older says little about where the face is
FASTEST = 0.004  # seconds a frame; no camera films faces at more than 250 frames a second
POINTS = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
_OTHERS = ("confidence", "success", "timestamp", "frame", "face_id")
_OF_ALL = "landmarks of all of the file, without time stamps: which are those of a part of it cannot be told"

Rows = Literal["time", "paper"]


@dataclass(frozen=True)
class FaceQuery:
    """The frames of a clip whose face boxes are wanted, and how they are chosen.

    Attributes:
        times: When the frames are shown that want one, ``(n,)``, seconds after the first frame of the video.
        clock: The same of every frame of the video, for tables without time stamps.
        size: Width and height of the video in pixels.
        rows: ``time``: a frame takes the row nearest in time. ``paper``: frame i of n takes row ``ceil(i * rows / n)``
            whatever its time, as the code released with CFN-SR does.
        confidence: Rows below it hold no face.
        start: When the clip begins in the time of the table, in seconds.
    """

    times: np.ndarray
    clock: np.ndarray
    size: tuple[int, int]
    rows: Rows = "time"
    confidence: float = CONFIDENCE
    start: float = 0.0


def landmark_boxes(path: Path, wanted: FaceQuery) -> np.ndarray:
    """Return the box around the 68 facial points of one face at some times of a clip.

    A row without a face (a value that is no number, too little confidence, success 0, a box outside the frame) lends
    its place to the nearest row with one. Of several faces in the frames the one that is there longest is followed.

    Args:
        path: OpenFace CSV; its columns are found by their names.
        wanted: When, and which rows count.

    Returns:
        float64 ``(n, 4)``: left, top, right, bottom in pixels.

    Raises:
        MediaError: The file is missing or broken, its rows have no times, no row has a face, or those that have one
            are far from most of the times, as those of another video are.
    """
    state = path.stat() if path.exists() else None
    columns = _read(path, state and (state.st_size, state.st_mtime_ns))
    points = columns["points"]
    x, y = points[:, :68], points[:, 68:]
    boxes = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    inside = np.clip(boxes, 0, [*wanted.size, *wanted.size])
    good = np.isfinite(boxes).all(axis=1) & (inside[:, 2:] - inside[:, :2] >= LEAST).all(axis=1)
    good &= (columns["success"] > 0) & (columns["confidence"] > 0) & (columns["confidence"] >= wanted.confidence)
    if wanted.rows == "paper" and wanted.start:
        raise MediaError(path, _OF_ALL)
    if wanted.rows == "paper":
        count, rows = len(wanted.times), np.arange(len(points))
        places = np.minimum([math.ceil(i * len(points) / count) for i in range(count)], len(points) - 1)
        at, followed = rows.astype(float), rows[good]
    else:
        at, places = _times(path, columns, wanted), wanted.times
        followed = _follow(at, boxes, columns["face_id"], good & np.isfinite(at) & np.isfinite(columns["face_id"]))
    if not followed.size:
        raise MediaError(path, "no landmark row holds a face inside the frame")
    distances = np.abs(np.asarray(places)[:, None] - at[followed][None, :])
    near = max(NEAR, float(np.diff(wanted.clock).max(initial=0)))  # a slow video has its next frame no earlier
    far = int((distances.min(axis=1) > near).sum()) if wanted.rows == "time" else 0
    if 2 * far > len(distances):
        begin, end = at[followed].min(), at[followed].max()
        raise MediaError(
            path,
            f"no landmark row with a face within {near:.1f} s of {far} of {len(distances)} frames; they are at "
            f"{begin:.2f} to {end:.2f} s",
        )
    nearest = followed[distances.argmin(axis=1)]
    return np.asarray(boxes[nearest])


@lru_cache(maxsize=1)  # parts of a clip ask one after the other
def _read(path: Path, _: tuple[int, int] | None) -> dict[str, np.ndarray]:
    """Read the points ``(rows, 136)`` and the columns beside them ``(rows,)``; NaN for what is no number."""
    try:
        table = Table(path)
        if missing := [name for name in POINTS if name not in table.names]:
            raise MediaError(path, f"{len(missing)} landmark columns are missing, the first {missing[0]}")
        names = [*POINTS, *(name for name in _OTHERS if name in table.names)]
        values = np.array([[_number(row[name]) for name in names] for row in table])
    except MediaError:
        raise
    except DataError as error:  # it names the file first
        raise MediaError(path, f"landmark file{str(error).removeprefix(str(path))}") from None
    if not len(values):
        raise MediaError(path, "no landmark rows")
    found = dict(zip(names[len(POINTS) :], values[:, len(POINTS) :].T, strict=True))
    silent = {"confidence": 1.0, "success": 1.0, "face_id": 0.0, "timestamp": math.nan, "frame": math.nan}
    return {"points": values[:, : len(POINTS)]} | {
        name: found.get(name, np.full(len(values), value)) for name, value in silent.items()
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _times(path: Path, columns: dict[str, np.ndarray], wanted: FaceQuery) -> np.ndarray:
    """Return the time of every row, by its time stamp or else by its frame's number; NaN where it has none.

    Time stamps do not count where they hardly move from frame to frame: OpenFace counts milliseconds, or not at all,
    where a video does not tell its rate.
    """
    stamps, frames = (np.where(np.isfinite(columns[name]), columns[name], math.nan) for name in ("timestamp", "frame"))
    if not np.isnan(stamps).all() and (np.isnan(frames).all() or _span(stamps) > FASTEST * _span(frames)):
        return np.asarray(stamps - wanted.start)
    if wanted.start:
        raise MediaError(path, _OF_ALL)
    if np.isnan(frames).all():
        raise MediaError(path, "landmark file without timestamp and frame; --landmark-rows paper takes rows in order")
    clock = wanted.clock
    numbers = frames - (0 if np.nanmin(frames) == 0 else 1)  # OpenFace counts from 1
    known = (numbers >= 0) & (numbers < len(clock))
    return np.where(known, clock[np.where(known, numbers, 0).astype(int)], math.nan)


def _span(values: np.ndarray) -> float:
    return float(np.nanmax(values) - np.nanmin(values))


def _follow(at: np.ndarray, boxes: np.ndarray, faces: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return at most one row for every time, of one face.

    It is the face whose id has most rows; where two rows have this id, the one nearest to its last box. While it is
    not there, another one whose middle lies inside its last box is taken for the same: trackers give new ids.
    """
    rows = np.flatnonzero(good)
    if not rows.size:
        return rows
    rows = rows[np.argsort(at[rows], kind="stable")]
    groups = np.split(rows, np.flatnonzero(np.diff(at[rows])) + 1)
    ids, counts = np.unique(faces[rows], return_counts=True)
    main = ids[counts.argmax()]
    begin = next(place for place, group in enumerate(groups) if (faces[group] == main).any())
    largest = max((row for row in groups[begin] if faces[row] == main), key=lambda row: np.prod(_sides(boxes[row])))
    forward = _walk(groups[begin:], boxes, faces == main, boxes[largest])
    backward = _walk(reversed(groups[:begin]), boxes, faces == main, boxes[largest])
    return np.array([*reversed(list(backward)), *forward])


def _walk(groups: Iterable[np.ndarray], boxes: np.ndarray, own: np.ndarray, last: np.ndarray) -> Iterator[int]:
    for group in groups:
        middles = (boxes[group, :2] + boxes[group, 2:]) / 2
        far = np.abs(middles - (last[:2] + last[2:]) / 2)
        same = own[group] if own[group].any() else (far <= _sides(last) / 2).all(axis=1)
        if same.any():
            row = int(group[np.where(same, far.max(axis=1), np.inf).argmin()])
            last = boxes[row]
            yield row


def _sides(box: np.ndarray) -> np.ndarray:
    return np.asarray(box[2:] - box[:2])
