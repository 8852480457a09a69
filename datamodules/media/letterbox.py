"""Letter-box: a picture of any shape in a black square, its aspect kept."""

import numpy as np
from PIL import Image


def letter_box(image: np.ndarray, size: int) -> np.ndarray:
    """Scale a picture to fit a square and paste it into the middle of black.

    Both sides are scaled by ``size / max(width, height)`` and truncated to whole pixels, bilinear with a low-pass
    filter where they shrink (Pillow's), as Dresvyanskiy et al. (SPECOM 2024) prepare faces and bodies.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        size: Side of the square in pixels.

    Returns:
        uint8 RGB ``(size, size, 3)``.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    # Whole numbers: 49 * (240 / 49) in floats truncates to 239 on its way to 240.
    w, h = (max(1, side * size // longest) for side in (width, height))
    small = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR)
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - h) // 2, (size - w) // 2
    square[top : top + h, left : left + w] = np.asarray(small)
    return square
