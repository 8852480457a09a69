"""Augmentation against torchvision and plain numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from datamodules import augment

SIDE = 24


def clips(batch=2, frames=3, side=SIDE, seed=0):
    return torch.rand(batch, 3, frames, side, side, generator=torch.Generator().manual_seed(seed))


def test_crops_are_distributed_as_in_torchvision():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image, count = torch.empty(3, 224, 224), 4000
    ours = np.array([augment.draw_crop(rng, 224, 224) for _ in range(count)])
    theirs = np.array([RandomResizedCrop.get_params(image, [0.8, 1.4], [3 / 4, 4 / 3]) for _ in range(count)])
    for column, name in enumerate(("top", "left", "height", "width")):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001, name
    areas = ours[:, 2] * ours[:, 3] / 224**2
    assert areas.mean() == pytest.approx(0.900, abs=0.005)
    assert (areas == 1).mean() == pytest.approx(0.25, abs=0.03)
    assert areas.max() == 1
    assert (ours[:, 0] + ours[:, 2]).max() == (ours[:, 1] + ours[:, 3]).max() == 224


def test_identity_and_flip_are_exact():
    video = clips()
    still = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    flip = torch.tensor([[-1.0, 0, 0], [0, 1, 0]])
    result = augment.resample(video, torch.stack([still, flip]))
    torch.testing.assert_close(result[0], video[0], rtol=0, atol=2e-6)
    torch.testing.assert_close(result[1], video[1].flip(-1), rtol=0, atol=2e-6)


def sampled(frame, top, left, h, w, flip):
    """Bilinear resampling of a box to the full size, pixel by pixel, edges repeated."""
    height, width = frame.shape
    result = np.empty_like(frame)
    for i in range(height):
        for j in range(width):
            y = min(max(top + (i + 0.5) * h / height - 0.5, 0), height - 1)
            x = left + ((width - 1 - j if flip else j) + 0.5) * w / width - 0.5
            x = min(max(x, 0), width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            above = frame[y0, x0] * (1 - x + x0) + frame[y0, x1] * (x - x0)
            below = frame[y1, x0] * (1 - x + x0) + frame[y1, x1] * (x - x0)
            result[i, j] = above * (1 - y + y0) + below * (y - y0)
    return result


@pytest.mark.parametrize("box", [(3, 5, 17, 14), (0, 0, SIDE, SIDE), (7, 0, SIDE - 7, 20)])
def test_drawn_maps_crop_and_flip_as_a_plain_loop_does(monkeypatch, box):
    monkeypatch.setattr(augment, "draw_crop", lambda rng, height, width: box)
    names = [f"clip-{number}" for number in range(8)]
    video = clips(len(names), 1)
    maps = augment.draw_affine(0, 0, names, 1, (SIDE, SIDE), "clip")
    result = augment.resample(video, maps)
    flipped = (maps[:, 0, 0] < 0).tolist()
    assert set(flipped) == {True, False}
    for row, flip in enumerate(flipped):
        expected = sampled(video[row, 1, 0].double().numpy(), *box, flip)
        np.testing.assert_allclose(result[row, 1, 0], expected, atol=1e-5)


def test_crop_equals_interpolating_the_slice_inside(monkeypatch):
    top, left, h, w = 4, 6, 16, 13
    monkeypatch.setattr(augment, "draw_crop", lambda rng, height, width: (top, left, h, w))
    video = clips(1)
    maps = augment.draw_affine(0, 0, ["a"], 3, (SIDE, SIDE), "clip")
    result = augment.resample(video, maps)[0]
    if maps[0, 0, 0] < 0:
        result = result.flip(-1)
    slice_ = video[0, :, :, top : top + h, left : left + w]
    expected = F.interpolate(slice_, (SIDE, SIDE), mode="bilinear")
    torch.testing.assert_close(result[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], rtol=0, atol=1e-5)


def test_flips_are_half_of_the_draws():
    maps = augment.draw_affine(0, 0, [str(number) for number in range(1000)], 1, (SIDE, SIDE), "clip")
    assert (maps[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.05)


def test_draw_is_a_function_of_seed_epoch_and_clip():
    def draw(seed, epoch, names, scope="clip"):
        return augment.draw_affine(seed, epoch, names, 3, (SIDE, SIDE), scope)

    base = draw(1, 2, ["a", "b", "c"])
    assert torch.equal(base, draw(1, 2, ["a", "b", "c"]))
    assert torch.equal(base[1:2], draw(1, 2, ["b"]))
    assert torch.equal(base.flip(0), draw(1, 2, ["c", "b", "a"]))
    assert len({tuple(row.flatten().tolist()) for row in base}) == 3
    assert not torch.equal(base, draw(2, 2, ["a", "b", "c"]))
    assert not torch.equal(base, draw(1, 3, ["a", "b", "c"]))
    frames = draw(1, 2, ["a", "b"], "frame")
    assert frames.shape == (6, 2, 3)
    assert torch.equal(frames[3:], draw(1, 2, ["b"], "frame"))
    assert len({tuple(row.flatten().tolist()) for row in frames}) == 6


def test_a_map_per_frame_moves_each_frame_by_its_own():
    video = clips()
    maps = augment.draw_affine(0, 0, ["a", "b"], 3, (SIDE, SIDE), "frame")
    result = augment.resample(video, maps)
    for clip in range(2):
        for frame in range(3):
            alone = augment.resample(video[clip : clip + 1, :, frame : frame + 1], maps[clip * 3 + frame][None])
            torch.testing.assert_close(result[clip, :, frame], alone[0, :, 0])


def test_normalisation_equals_torchvision():
    stored = torch.randint(0, 256, (2, 3, 5, 7, 3), dtype=torch.uint8)
    scaled = stored.permute(0, 1, 4, 2, 3).float() / 255
    expected = tv.normalize(scaled, list(augment.IMAGENET_MEAN), list(augment.IMAGENET_STD)).transpose(1, 2)
    rgb = augment.to_float(stored)
    assert rgb.dtype == torch.float32
    assert rgb.is_contiguous()
    torch.testing.assert_close(rgb, expected, rtol=0, atol=1e-5)
    # The released code swaps the channels, not the statistics.
    swapped = tv.normalize(scaled.flip(2), list(augment.IMAGENET_MEAN), list(augment.IMAGENET_STD)).transpose(1, 2)
    torch.testing.assert_close(augment.to_float(stored, "bgr"), swapped, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [10, SIDE, 31])
def test_resize_equals_torchvision(size):
    video = clips()
    expected = tv.resize(video.transpose(1, 2), [size, size], antialias=True).transpose(1, 2)
    torch.testing.assert_close(augment.resize(video, size), expected, rtol=0, atol=1e-5)
