"""Pictures of any shape on a square without distortion."""

import cv2
import numpy as np


def letter_box(image: np.ndarray, size: int) -> np.ndarray:
    """Scale the longer side to `size` and centre the picture on black.

    Args:
        image: uint8 ``(H, W, C)``.
        size: Side of the square in pixels.

    Returns:
        uint8 ``(size, size, C)``.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    # The papers truncate; rounding first keeps 240 from becoming 239.
    tall, wide = (max(1, int(round(side * scale, 6))) for side in (height, width))
    # The papers' bilinear filter (PIL) widens where a picture shrinks; OpenCV's does not, its area filter stands in.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (wide, tall), interpolation=how)
    top, left = (size - tall) // 2, (size - wide) // 2
    square = np.zeros((size, size, image.shape[2]), np.uint8)
    square[top : top + tall, left : left + wide] = small
    return square
