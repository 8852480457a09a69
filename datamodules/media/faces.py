"""Face boxes from OpenCV's Haar detector, and crops of them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from datamodules.errors import MediaError
from datamodules.media.frames import Box, shown_size, to_gray, to_rgb

LEAST = 2  # pixels; a thinner box shows nothing


@lru_cache(maxsize=1)
def _detector() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data/haarcascade_frontalface_default.xml"))


def haar_hits(frame: VideoFrame, height: int = 240, least: float = 0.2) -> tuple[Sequence[Any], float]:
    """Return left, top, width and height of every face of a frame, and the scale at which it was searched.

    Args:
        frame: A decoded frame.
        height: It is searched at this height in pixels, which the boxes count.
        least: Side of the smallest face to look for, as a fraction of the picture's shorter side.
    """
    gray = to_gray(frame)
    scale = min(1.0, height / gray.shape[0])
    small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    side = round(least * min(small.shape))
    return _detector().detectMultiScale(small, 1.1, 5, minSize=(side, side)), scale


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
        hits, scale = haar_hits(frames[place], height, least)
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
    left, top = min(left, width - LEAST), min(top, height - LEAST)
    part: Box = (left, top, max(right, left + LEAST), max(bottom, top + LEAST))
    image = to_rgb(frame, part, size if squash else None)
    shrinks = min(image.shape[:2]) >= size
    # Area averaging is what avoids aliasing; where a side grows it falls back to blocks.
    how = cv2.INTER_AREA if shrinks and not squash else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=how))
