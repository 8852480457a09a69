"""datamodules/media/letterbox.py against its definition."""

import numpy as np
import pytest
from PIL import Image

from datamodules.media.letterbox import letter_box


def picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "width", "height", "inside"),
    [
        (240, 300, 260, (240, 208)),
        (240, 100, 333, (72, 240)),  # 72.07 and 240
        (240, 49, 49, (240, 240)),  # in floats 49 * (240 / 49) truncates to 239
        (256, 640, 480, (256, 192)),
        (256, 97, 1000, (24, 256)),  # 24.8 truncates
        (64, 1000, 3, (64, 1)),  # nothing vanishes
    ],
)
def test_scaled_truncated_and_centred_on_black(size, width, height, inside):
    image = picture(width, height)
    boxed = letter_box(image, size)
    assert boxed.shape == (size, size, 3)
    assert boxed.dtype == np.uint8
    w, h = inside
    left, top = (size - w) // 2, (size - h) // 2
    expected = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(boxed[top : top + h, left : left + w], expected)
    boxed[top : top + h, left : left + w] = 0
    assert not boxed.any()


def test_a_picture_of_that_size_is_itself():
    image = picture(40, 40)
    np.testing.assert_array_equal(letter_box(image, 40), image)


@pytest.mark.parametrize(("width", "height"), [(300, 260), (150, 400)])
def test_close_to_torchvision(width, height):
    import torch
    from torchvision.transforms import v2

    smooth = np.asarray(Image.fromarray(picture(9, 9)).resize((width, height), Image.Resampling.BICUBIC))
    other = v2.Compose([v2.Resize(239, max_size=240), v2.CenterCrop(240)])(torch.tensor(smooth).permute(2, 0, 1))
    difference = np.abs(letter_box(smooth, 240).astype(int) - other.permute(1, 2, 0).numpy())
    assert difference.mean() < 1.5


def test_resized_as_by_the_pillow_that_is_pinned():
    """Pillow 12 computes 4598: it rounds otherwise by a grey level here and there."""
    image = (np.arange(8 * 300 * 3).reshape(300, 8, 3) * 37 % 256).astype(np.uint8)
    assert letter_box(image, 12).sum(dtype=int) == 4592
