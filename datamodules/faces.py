"""Where the face is: boxes from OpenFace landmark files or from OpenCV's Haar detector, and the crop itself."""

import csv
import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame

from datamodules.frames import Box, shown_size, to_gray, to_rgb
from datamodules.media_file import MediaError

_POINTS = 68
_LEAST = 2  # pixels; a thinner box shows nothing


def landmark_boxes(path: Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """Boxes around the 68 facial points for `count` frames spread over a clip.

    Frame i takes row ``ceil(i * rows / count)``, as CFN-SR does. A row without a face (not a number, confidence or
    success 0, a box outside the frame) lends its place to the nearest row with one.

    Args:
        path: OpenFace CSV, one row a video frame; blanks around the column names do not matter.
        count: Number of boxes.
        size: Width and height of the video in pixels.

    Returns:
        float64 ``(count, 4)``: left, top, right, bottom in pixels.

    Raises:
        MediaError: The file is missing or broken, or no row has a face.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = {name.strip(): place for place, name in enumerate(next(csv.reader(file), []))}
            columns = [f"{axis}_{point}" for axis in "xy" for point in range(_POINTS)]
            columns += [name for name in ("confidence", "success") if name in names]
            missing = [name for name in columns if name not in names]
            if missing:
                raise MediaError(path, f"{len(missing)} landmark columns are missing, the first {missing[0]}")
            table = np.loadtxt(file, delimiter=",", usecols=[names[name] for name in columns], ndmin=2)
    except FileNotFoundError:
        raise MediaError(path, "no such landmark file") from None
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise MediaError(path, f"not a readable landmark file ({error})") from None
    if not len(table):
        raise MediaError(path, "no landmark rows")
    x, y, checks = table[:, :_POINTS], table[:, _POINTS : 2 * _POINTS], table[:, 2 * _POINTS :]
    boxes = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    inside = np.clip(boxes, 0, [*size, *size])
    sides = inside[:, 2:] - inside[:, :2]
    good = np.flatnonzero(np.isfinite(boxes).all(axis=1) & (checks > 0).all(axis=1) & (sides >= _LEAST).all(axis=1))
    if not good.size:
        raise MediaError(path, "no landmark row holds a face inside the frame")
    rows = np.minimum([math.ceil(i * len(table) / count) for i in range(count)], len(table) - 1)
    nearest = good[np.abs(rows[:, None] - good[None, :]).argmin(axis=1)]
    return np.asarray(boxes[nearest])


@lru_cache(maxsize=1)
def _detector() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data/haarcascade_frontalface_default.xml"))


def detect_boxes(
    path: Path, frames: list[VideoFrame], looks: int = 15, height: int = 240, least: float = 0.2
) -> np.ndarray:
    """Find the largest face in some of the frames and follow it through all of them.

    Args:
        path: Named in the error.
        frames: Frames of one clip in order.
        looks: Number of frames to search.
        height: They are searched at this height in pixels.
        least: Side of the smallest face to look for, as a fraction of the picture's shorter side.

    Returns:
        float64 ``(len(frames), 4)``: left, top, right, bottom in pixels.

    Raises:
        MediaError: Half of the searched frames or more show no face.
    """
    places = np.unique(np.linspace(0, len(frames) - 1, looks).round().astype(int))
    found: list[int] = []
    boxes: list[np.ndarray] = []
    for place in places:
        gray = to_gray(frames[place])
        scale = min(1.0, height / gray.shape[0])
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        side = round(least * min(small.shape))
        hits = _detector().detectMultiScale(small, 1.1, 5, minSize=(side, side))
        if len(hits):
            left, top, width, tall = max(hits, key=lambda hit: (hit[2] * hit[3], *hit))
            found.append(place)
            boxes.append(np.array([left, top, left + width, top + tall]) / scale)
    if 2 * len(found) <= len(places):
        raise MediaError(path, f"no face found in {len(places) - len(found)} of {len(places)} frames")
    track = np.stack(boxes)
    # The detector's square ends above the chin, and an open mouth needs more.
    track[:, 3] += 0.1 * (track[:, 3] - track[:, 1])
    # A stray hit on the background is outvoted by its neighbours.
    padded = np.pad(track, ((1, 1), (0, 0)), mode="reflect" if len(track) > 1 else "edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0), axis=-1)
    everywhere = np.arange(len(frames))
    return np.stack([np.interp(everywhere, found, side) for side in smooth.T], axis=1)


def crop(frame: VideoFrame, box: np.ndarray, size: int, margin: float = 0.0, squash: bool = False) -> np.ndarray:
    """Cut a box out of a frame and scale it to a square.

    Args:
        frame: A decoded frame.
        box: left, top, right, bottom in pixels of the frame.
        size: Side of the result in pixels.
        margin: Added on every side, as a fraction of the box.
        squash: Scale the whole frame to the square first and cut then, as the code released with CFN-SR does.

    Returns:
        uint8 RGB ``(size, size, 3)``.
    """
    grown = box + margin * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
    width, height = shown_size(frame)
    if squash:
        grown = grown * np.tile([size / width, size / height], 2)
        width = height = size
    left, top, right, bottom = (int(side) for side in np.clip(grown, 0, [width, height, width, height]))
    # Truncation can leave less than a pixel of a small box.
    left, top = min(left, width - _LEAST), min(top, height - _LEAST)
    part: Box = (left, top, max(right, left + _LEAST), max(bottom, top + _LEAST))
    image = to_rgb(frame, part, size if squash else None)
    shrinks = min(image.shape[:2]) >= size
    # Area averaging is what avoids aliasing; where a side grows it falls back to blocks.
    how = cv2.INTER_AREA if shrinks and not squash else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how))
