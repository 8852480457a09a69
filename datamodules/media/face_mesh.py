"""A mesh of 468 points over a face that BlazeFace found.

Kartynnik et al., Real-time facial surface geometry from monocular video on mobile GPUs, 2019,
https://arxiv.org/abs/1907.06724. The network sees the face turned level in a square of one and a half times its box.
"""

import cv2
import numpy as np

from datamodules.media.blazeface import DECIMALS, LARGEST_LOGIT
from datamodules.media.face_networks import MESH, load_network
from datamodules.media.found_face import FoundFace, level

POINTS = 468
AROUND = 1.5  # sides of the box
SIDE = 192  # pixels of the network's input
EYES = ((33, 133), (362, 263))  # corners of the eye on the left of the picture, and of the other


def aligned_mesh(image: np.ndarray, face: FoundFace) -> tuple[np.ndarray, float]:
    """Return the mesh of a face, wherever, however large and however tilted it is in the picture.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        face: Where it is.

    Returns:
        float64 ``(468, 3)``: x to the right, y down, z away from the viewer, from the middle between the eyes and in
        distances between their centres; and how certain the network is of a face, 0 to 1.

    Raises:
        DataError: The network's package is missing.
    """
    network = load_network(MESH)
    square = level(image, face, AROUND * face.side)
    how = cv2.INTER_AREA if len(square) >= SIDE else cv2.INTER_LINEAR
    small = cv2.resize(square, (SIDE, SIDE), interpolation=how)
    network.setInput(cv2.dnn.blobFromImage(small, 1 / 255))
    outputs = network.forward(network.getUnconnectedOutLayersNames())
    by_size = {out.size: out.ravel().astype(np.float64) for out in outputs}
    points = by_size[3 * POINTS].reshape(POINTS, 3)
    left, right = (points[list(corners)].mean(0) for corners in EYES)
    across, down = (right - left)[:2]
    distance = max(float(np.hypot(across, down)), 1e-6)
    turn = np.array([[across, -down], [down, across]]) / distance
    points = (points - (left + right) / 2) / distance
    points[:, :2] = points[:, :2] @ turn
    logit = np.clip(by_size[1][0], -LARGEST_LOGIT, LARGEST_LOGIT)
    return points.round(DECIMALS), round(float(1 / (1 + np.exp(-logit))), DECIMALS)
