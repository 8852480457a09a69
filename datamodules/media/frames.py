"""From decoded frames to arrays: brightness, RGB, and RGB of a part only."""

from functools import lru_cache
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the frame as shown


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Return the width and height in pixels after the rotation that the file asks for."""
    return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _upright(image: np.ndarray, frame: VideoFrame) -> np.ndarray:
    return np.rot90(image, frame.rotation // 90) if frame.rotation else image


def _samples(plane: Any) -> np.ndarray:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


@lru_cache(maxsize=1)
def _reformatter() -> VideoReformatter:
    return VideoReformatter()  # keeps its scaler between calls of the same size


def to_gray(frame: VideoFrame) -> np.ndarray:
    """Return the brightness uint8 ``(H, W)``."""
    if frame.format.name.startswith(("yuv4", "yuvj4")) and frame.format.components[0].bits == 8:
        image = _samples(frame.planes[0])[: frame.height, : frame.width]
    else:
        image = _reformatter().reformat(frame, format="gray").to_ndarray()
    return _upright(image, frame)


def to_rgb(frame: VideoFrame, box: Box | None = None, squash: int | None = None) -> np.ndarray:
    """Convert a frame, or a box of it, to uint8 RGB ``(H, W, 3)``.

    Args:
        frame: A frame of `read_clip`.
        box: Part to convert, inside the frame.
        squash: First scale the whole frame to this many pixels in both directions, whatever its aspect; the box
            then counts these.
    """
    if squash is not None:
        small = _reformatter().reformat(frame, squash, squash, "rgb24", interpolation="BICUBIC")
        image = _upright(small.to_ndarray(), frame)
    elif box is not None and not frame.rotation and frame.format.name == "yuv420p":
        return _cropped_rgb(frame, box)
    else:
        image = _upright(_reformatter().reformat(frame, format="rgb24").to_ndarray(), frame)
    if box is not None:
        left, top, right, bottom = box
        image = image[top:bottom, left:right]
    return np.ascontiguousarray(image)


def _cropped_rgb(frame: VideoFrame, box: Box) -> np.ndarray:
    """Convert a box of a frame, whose planes are cut first: a face costs a fraction of the whole frame."""
    left, top, right, bottom = box
    # The box grown to whole chroma samples with one more around it, so that interpolation sees its neighbours.
    x0, y0 = max(0, left // 2 - 1), max(0, top // 2 - 1)
    x1, y1 = min(frame.width // 2, right // 2 + 2), min(frame.height // 2, bottom // 2 + 2)
    if right > 2 * x1 or bottom > 2 * y1:  # odd sizes: the last column or row has a chroma sample of its own
        return np.ascontiguousarray(_reformatter().reformat(frame, format="rgb24").to_ndarray()[top:bottom, left:right])
    parts = []
    for plane, scale in zip(frame.planes, (2, 1, 1), strict=True):
        parts.append(_samples(plane)[y0 * scale : y1 * scale, x0 * scale : x1 * scale].ravel())
    packed = np.concatenate(parts).reshape(-1, 2 * (x1 - x0))
    small = VideoFrame.from_ndarray(packed, "yuv420p")
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    image = _reformatter().reformat(small, format="rgb24").to_ndarray()
    return np.ascontiguousarray(image[top - 2 * y0 : bottom - 2 * y0, left - 2 * x0 : right - 2 * x0])
