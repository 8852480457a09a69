"""Every face of a picture, by BlazeFace.

Bazarevsky et al., BlazeFace: sub-millisecond neural face detection on mobile GPUs, 2019,
https://arxiv.org/abs/1907.05047; the network for faces up to five metres away ("full range"). Written from the model's
card and the options of MediaPipe's graph: a square of 192 pixels, one anchor a cell of four pixels, boxes that overlap
are averaged by their scores.
"""

import cv2
import numpy as np

from datamodules.media.face_networks import BLAZEFACE, load_network
from datamodules.media.found_face import FoundFace

SIDE = 192  # pixels of the network's input
STRIDE = 4
LEAST_CONFIDENCE = 0.5
MOST_OVERLAP = 0.3  # intersection over union of two boxes of one face
LARGEST_LOGIT = 80.0
# Processors differ in the last bits of a convolution; what is stored should not.
STEPS_A_PIXEL = 4
DECIMALS = 3


def find_faces(image: np.ndarray) -> list[FoundFace]:
    """Return every face of a picture, the most certain first.

    Args:
        image: uint8 RGB ``(H, W, 3)``.

    Raises:
        DataError: The network's package is missing.
    """
    network = load_network(BLAZEFACE)
    square, scale, shift = _square(image)
    network.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
    names = network.getUnconnectedOutLayersNames()
    by_width = {out.shape[-1]: out[0] for out in network.forward(names)}
    logits, places = by_width[1][:, 0].astype(np.float64), by_width[16].astype(np.float64).reshape(-1, 8, 2)
    scores = 1 / (1 + np.exp(-logits.clip(-LARGEST_LOGIT, LARGEST_LOGIT)))
    likely = np.flatnonzero(scores >= LEAST_CONFIDENCE)
    cells = SIDE // STRIDE
    anchors = (np.stack([likely % cells, likely // cells], axis=1) + 0.5) * STRIDE
    places, scores = places[likely], scores[likely]
    middles, halves = places[:, 0] + anchors, places[:, 1] / 2
    corners = np.concatenate([middles - halves, middles + halves], axis=1).reshape(-1, 2, 2)
    found = np.concatenate([corners, places[:, 2:] + anchors[:, None]], axis=1)
    faces = []
    for place, score in _merged(found[(halves > 0).all(1)], scores[(halves > 0).all(1)]):
        pixels = np.round((place - shift) / scale * STEPS_A_PIXEL) / STEPS_A_PIXEL
        faces.append(FoundFace(pixels[:2].ravel(), pixels[2:], round(score, DECIMALS)))
    return faces


def _square(image: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Return a picture in the middle of a black square, the scale that it has there and where it begins."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square, scale, np.array([left, top], float)


def _merged(found: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Return a mean, weighted by the scores, of the boxes that overlap a better one, with the best score."""
    merged, order = [], np.argsort(-scores, kind="stable")
    while len(order):
        same = _overlap(found[order[0]], found[order]) > MOST_OVERLAP
        same[0] = True
        group = order[same]
        merged.append((np.average(found[group], axis=0, weights=scores[group]), float(scores[group[0]])))
        order = order[~same]
    return merged


def _overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box with others; their first two points are the corners."""
    low, high = np.maximum(one[0], others[:, 0]), np.minimum(one[1], others[:, 1])
    common = (high - low).clip(0).prod(1)
    return np.asarray(common / ((one[1] - one[0]).prod() + (others[:, 1] - others[:, 0]).prod(1) - common))
