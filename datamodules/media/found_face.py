"""A face that was found in a picture, and a square around it with level eyes."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class FoundFace:
    """A face of a picture.

    Attributes:
        box: float64 ``(4,)``: left, top, right, bottom in pixels, square, from above the brows to the chin; it may
            reach over the border.
        points: float64 ``(6, 2)``, x and y in pixels: the eyes, left in the picture first, nose, mouth, and the sides
            of the face at the ears.
        confidence: From 0.5 to 1.
    """

    box: np.ndarray
    points: np.ndarray
    confidence: float

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    @property
    def centre(self) -> np.ndarray:
        """The middle of the box, x and y in pixels."""
        return np.asarray((self.box[:2] + self.box[2:]) / 2)

    @property
    def tilt(self) -> float:
        """Degrees by which the line of the eyes falls to the right."""
        across, down = self.points[1] - self.points[0]
        return float(np.degrees(np.arctan2(down, across)))


def level(image: np.ndarray, face: FoundFace, side: float) -> np.ndarray:
    """Cut out a square around a face, turned so that the eyes are level.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        face: Which.
        side: Of the square in pixels of the picture.

    Returns:
        uint8 RGB ``(S, S, 3)``, S being `side` in whole pixels, black outside of the picture.
    """
    pixels = max(2, round(side))
    turn = cv2.getRotationMatrix2D(face.centre.tolist(), face.tilt, 1.0)
    turn[:, 2] += np.array((pixels - 1) / 2) - face.centre
    return np.asarray(cv2.warpAffine(image, turn, (pixels, pixels), flags=cv2.INTER_LINEAR))
