"""Drawn upper bodies below the drawn faces of `face`: 17 joints, and arms painted through them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.standins._drawing.face import SHIFT, Array, Image, Person, shade

JOINTS = 17  # COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; the person's left before right
SHOULDER, ELBOW, WRIST, HIP = 5, 7, 9, 11
# In face units from the origin of the head: hands on the table, and hands up beside the shoulders.
DOWN = {SHOULDER: (1.4, 1.75), ELBOW: (1.75, 2.75), WRIST: (1.0, 3.3), HIP: (0.9, 3.9)}
UP = {SHOULDER: (1.45, 1.65), ELBOW: (2.05, 2.7), WRIST: (1.8, 1.7), HIP: (0.9, 3.9)}


def body_joints(face: Array, pose: Array, raised: Array) -> Array:
    """Return the joints of a run of frames in pixels, ``(T, 17, 2)``; knees and ankles are not a number.

    Args:
        face: The 68 landmarks in pixels, ``(T, 68, 2)``.
        pose: A frame's head as in `place`, ``(T, 5)``; the body follows its place and size, not its turns.
        raised: How far each arm is up, 0 to 1, ``(T, 2)``: the person's left, then right.
    """
    joints = np.full((len(face), JOINTS, 2), np.nan)
    joints[:, 0] = face[:, 30]
    joints[:, 1], joints[:, 2] = face[:, 42:48].mean(1), face[:, 36:42].mean(1)
    joints[:, 3], joints[:, 4] = face[:, 16], face[:, 0]
    origin, unit = pose[:, :2], pose[:, 2:3]
    for joint, down in DOWN.items():
        for side, sign in enumerate((1, -1)):  # the person's left is right in the picture
            up = raised[:, side, None]
            place = (1 - up) * np.array(down) + up * np.array(UP[joint])
            joints[:, joint + side] = origin + unit * place * [sign, 1]
    return joints


def paint_body(picture: Image, joints: Array, unit: float, person: Person, light: float) -> None:
    """Paint chest, arms and hands through joints ``(17, 2)`` onto a picture that holds the head and shoulders.

    ``unit`` is the number of pixels per face unit; ``light`` as in `paint`.
    """

    def fixed(points: Array) -> NDArray[np.int32]:
        return np.asarray(np.round(points * 2**SHIFT), np.int32)

    left, right = joints[SHOULDER], joints[SHOULDER + 1]
    chest = np.array([left, right, [right[0], picture.shape[0]], [left[0], picture.shape[0]]])
    cv2.fillPoly(picture, [fixed(chest)], shade(person.shirt, light), cv2.LINE_AA, SHIFT)
    for side in (0, 1):
        arm = joints[[SHOULDER + side, ELBOW + side, WRIST + side]]
        cv2.polylines(
            picture,
            [fixed(arm)],
            False,
            shade(person.shirt, light, 0.7),
            max(2, round(0.34 * unit)),
            cv2.LINE_AA,
            SHIFT,
        )
        x, y = fixed(arm[2]).tolist()
        cv2.circle(picture, (x, y), round(0.24 * unit * 2**SHIFT), shade(person.skin, light), -1, cv2.LINE_AA, SHIFT)
