"""Near duplicates of pictures: the same one scaled, recompressed or slightly retouched, under another name."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

HASH_BITS = 4  # of 64 that may differ
# Hashes of two aligned faces often agree. Brightness and contrast apart, no cell of the thumbnails may differ by more:
# of drawn faces that hash alike 99 % differ by more than 16, the same one recompressed by less than 4.
LEVELS = 8  # of 255
GAIN = 2.0  # contrast of one against the other, and its inverse
_BANDS = HASH_BITS + 1
_PAIRS = 1 << 22  # looked at together


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the thumbnail by which a picture is compared.

    Args:
        image: uint8 RGB ``(H, W, 3)``.

    Returns:
        Brightness, uint8 ``(8, 9)``, whatever the aspect of the picture.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA))


def difference_hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return the 64-bit difference hash: one bit per pair of neighbours in a row, set where brightness rises.

    Args:
        thumbnails: uint8 ``(N, 8, 9)``.

    Returns:
        uint64 ``(N,)``.
    """
    rises = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    return np.packbits(rises.reshape(len(thumbnails), 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def _centred(thumbnails: np.ndarray) -> np.ndarray:
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


def _alike(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which of the pairs of centred thumbnails ``(N, 72)`` are one picture up to brightness and contrast."""
    gain = (np.einsum("nd,nd->n", shapes, others) + 1) / (np.einsum("nd,nd->n", others, others) + 1)  # flat ones: 1
    rest = np.abs(shapes - gain[:, None] * others).max(axis=1, initial=0)
    return np.asarray((rest <= LEVELS) & (gain >= 1 / GAIN) & (gain <= GAIN))


def _candidates(keys: np.ndarray, others: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of rows whose keys are equal, in blocks of bounded size."""
    order = np.argsort(others, kind="stable")
    first = np.searchsorted(others[order], keys, side="left")
    counts = np.searchsorted(others[order], keys, side="right") - first
    rows = np.flatnonzero(counts)
    parts = np.cumsum(counts[rows]) // _PAIRS
    for part in np.unique(parts):
        some = rows[parts == part]
        repeated = np.repeat(some, counts[some])
        within = np.arange(len(repeated)) - np.repeat(np.cumsum(counts[some]) - counts[some], counts[some])
        yield repeated, order[first[repeated] + within]


def near_duplicates_among(thumbnails: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which pictures are near duplicates of one of the others.

    Two are if their difference hashes differ in at most ``HASH_BITS`` bits and their thumbnails, brightness and
    contrast apart, by at most ``LEVELS`` grey levels. Hashes that close agree in one of five bands of bits, so that
    only pictures of one band's value are compared.

    Args:
        thumbnails: uint8 ``(N, 8, 9)``.
        others: uint8 ``(M, 8, 9)``.

    Returns:
        bool ``(N,)``.
    """
    found = np.zeros(len(thumbnails), bool)
    if not len(thumbnails) or not len(others):
        return found
    hashes, other_hashes = difference_hash(thumbnails), difference_hash(others)
    shapes, other_shapes = _centred(thumbnails), _centred(others)
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    for low, high in pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        shift = np.uint64(low)
        for rows, columns in _candidates((hashes >> shift) & mask, (other_hashes >> shift) & mask):
            close = np.bitwise_count(hashes[rows] ^ other_hashes[columns]) <= HASH_BITS
            rows, columns = rows[close], columns[close]
            found[rows[_alike(shapes[rows], other_shapes[columns])]] = True
    return found


def duplicated_across_splits(splits: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Return which pictures must be left out, because a split that takes precedence holds nearly the same one.

    Args:
        splits: 0 = train, 1 = validation, 2 = test; ``(N,)``.
        thumbnails: uint8 ``(N, 8, 9)``.

    Returns:
        bool ``(N,)``: training pictures nearly the same as one of validation or test, and validation pictures nearly
        the same as one of test. The test pictures always stay.
    """
    out = np.zeros(len(splits), bool)
    for weaker in (0, 1):
        rows = np.flatnonzero(splits == weaker)
        out[rows] = near_duplicates_among(thumbnails[rows], thumbnails[splits > weaker])
    return out
