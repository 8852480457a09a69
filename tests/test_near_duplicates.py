"""datamodules/media/near_duplicates.py: the same picture again is found, another is not, and bands lose no pair."""

import cv2
import numpy as np
import pytest

from datamodules.media import near_duplicates
from datamodules.media.near_duplicates import (
    HASH_BITS,
    difference_hash,
    duplicated_across_splits,
    near_duplicates_among,
    thumbnail,
)


def pictures(count, seed=0, side=160):
    """Smooth random pictures, like photographs in that neighbouring pixels agree."""
    rng = np.random.default_rng(seed)
    small = rng.integers(20, 235, (count, 7, 7, 3), dtype=np.uint8)
    return [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in small]


def thumbnails(images):
    return np.stack([thumbnail(image) for image in images])


def again(image, how):
    if how == "jpeg":
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    if how == "scaled":
        return cv2.resize(image, (97, 61), interpolation=cv2.INTER_AREA)
    if how == "brighter":
        return cv2.convertScaleAbs(image, alpha=0.8, beta=35)
    return image.copy()


@pytest.mark.parametrize("how", ["copy", "jpeg", "scaled", "brighter"])
def test_the_same_picture_again_is_found(how):
    images = pictures(60)
    others = [*pictures(20, seed=1), *(again(image, how) for image in images[:30])]
    found = near_duplicates_among(thumbnails(images), thumbnails(others))
    assert found[:30].mean() >= 0.9
    assert not found[30:].any()


def test_hash_bits_say_where_brightness_rises():
    images = np.zeros((2, 8, 9), np.uint8)
    images[0] = np.arange(9)
    images[1, 0, :2] = [0, 5]
    hashes = difference_hash(images)
    assert hashes[0] == np.uint64(2**64 - 1)
    assert np.bitwise_count(hashes[1]) == 1


@pytest.mark.parametrize("pairs", [near_duplicates._PAIRS, 50])
def test_bands_find_what_comparing_all_finds(pairs, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_PAIRS", pairs)
    rng = np.random.default_rng(0)
    base = thumbnails(pictures(40)).astype(int)
    noisy = np.concatenate([base, base]) + rng.integers(-4, 5, (80, 8, 9))
    one, two = base.astype(np.uint8), noisy.clip(0, 255).astype(np.uint8)
    distance = np.bitwise_count(difference_hash(one)[:, None] ^ difference_hash(two)[None])
    a, b = (near_duplicates._centred(part) for part in (one, two))
    rows, columns = np.divmod(np.arange(len(a) * len(b)), len(b))
    alike = near_duplicates._alike(a[rows], b[columns]).reshape(len(a), len(b))
    expected = ((distance <= HASH_BITS) & alike).any(axis=1)
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(near_duplicates_among(one, two), expected)


def test_same_hash_but_another_picture_is_another():
    ramp = np.tile(np.linspace(0, 200, 9), (8, 1)).astype(np.uint8)
    step = np.sort(np.random.default_rng(0).integers(0, 255, (8, 9)), axis=1).astype(np.uint8)
    step += (np.arange(9) * (step.max() < 246)).astype(np.uint8)
    assert not near_duplicates_among(ramp[None], step[None])[0]
    assert near_duplicates_among(ramp[None], ramp[None])[0]


def test_flat_pictures_are_the_same_and_none_among_none():
    flat = np.full((2, 8, 9), 7, np.uint8)
    assert near_duplicates_among(flat, flat).all()
    assert not near_duplicates_among(flat, flat[:0]).any()
    assert near_duplicates_among(flat[:0], flat).shape == (0,)


def test_train_gives_way_to_validation_and_both_to_test():
    a, b, c, d = pictures(4)
    images = thumbnails([a, b, c, d, b, c, c])
    splits = np.array([0, 0, 0, 0, 1, 1, 2])
    assert duplicated_across_splits(splits, images).tolist() == [False, True, True, False, False, True, False]
