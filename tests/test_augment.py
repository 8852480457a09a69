"""Augmentation against torchvision, Pillow and plain numpy."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from datamodules import augment
from datamodules.augment import View

SIDE = 24


def clips(batch=2, frames=3, side=SIDE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, frames, side, side, 3), dtype=torch.uint8, generator=generator)


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


@pytest.mark.parametrize("view", [View(5, 3, 17, 14, True), View(0, 0, SIDE, SIDE, True), View(2, 0, 22, SIDE, False)])
@pytest.mark.parametrize("size", [10, SIDE, 31])
def test_views_equal_those_of_pillow(view, size):
    video = clips()
    shown = augment.resample(video, [view, View(0, 0, SIDE, SIDE, False)], size)
    assert shown.shape == (2, 3, size, size, 3)
    assert shown.dtype == torch.uint8
    box = (view.left, view.top, view.left + view.width, view.top + view.height)
    for frame in range(3):
        image = Image.fromarray(video[0, frame].numpy()).crop(box).resize((size, size), Image.Resampling.BILINEAR)
        expected = np.asarray(image)[:, ::-1] if view.flip else np.asarray(image)
        assert np.abs(shown[0, frame].numpy().astype(int) - expected).max() <= 1


def test_identity_and_flip_are_exact():
    video = clips()
    whole = augment.whole_views(2, (SIDE, SIDE))
    assert torch.equal(augment.resample(video, whole, SIDE), video)
    shown = augment.resample(video, [whole[0], whole[1]._replace(flip=True)], SIDE)
    assert torch.equal(shown[0], video[0])
    assert torch.equal(shown[1], video[1].flip(2))


def test_flips_are_half_of_the_draws():
    views = augment.draw_views(0, 0, [str(number) for number in range(1000)], 1, (SIDE, SIDE), "clip")
    assert np.mean([view.flip for view in views]) == pytest.approx(0.5, abs=0.05)


def test_draw_is_a_function_of_seed_epoch_and_clip():
    def draw(seed, epoch, names, scope="clip"):
        return augment.draw_views(seed, epoch, names, 3, (SIDE, SIDE), scope)

    base = draw(1, 2, ["a", "b", "c"])
    assert base == draw(1, 2, ["a", "b", "c"])
    assert base[1:2] == draw(1, 2, ["b"])
    assert base[::-1] == draw(1, 2, ["c", "b", "a"])
    assert len(set(base)) == 3
    assert base != draw(2, 2, ["a", "b", "c"])
    assert base != draw(1, 3, ["a", "b", "c"])
    frames = draw(1, 2, ["a", "b"], "frame")
    assert len(frames) == 6
    assert frames[3:] == draw(1, 2, ["b"], "frame")
    assert len(set(frames)) > 3


def test_a_view_per_frame_shows_each_frame_by_its_own():
    video = clips()
    views = augment.draw_views(0, 0, ["a", "b"], 3, (SIDE, SIDE), "frame")
    result = augment.resample(video, views, SIDE)
    for clip in range(2):
        for frame in range(3):
            alone = augment.resample(video[clip : clip + 1, frame : frame + 1], [views[clip * 3 + frame]], SIDE)
            assert torch.equal(result[clip, frame], alone[0, 0])


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_normalisation_equals_torchvision(kind):
    video = torch.randint(0, 256, (2, 3, 5, 7, 3), dtype=torch.uint8).to(kind)
    stored = video.clone()
    scaled = stored.permute(0, 1, 4, 2, 3).float() / 255
    expected = tv.normalize(scaled, list(augment.IMAGENET_MEAN), list(augment.IMAGENET_STD)).transpose(1, 2)
    rgb = augment.to_float(video)
    assert rgb.dtype == torch.float32
    assert rgb.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(rgb, expected, rtol=0, atol=1e-5)
    # The released code swaps the channels, not the statistics.
    swapped = tv.normalize(scaled.flip(2), list(augment.IMAGENET_MEAN), list(augment.IMAGENET_STD)).transpose(1, 2)
    torch.testing.assert_close(augment.to_float(video, "bgr"), swapped, rtol=0, atol=1e-5)
    assert torch.equal(video, stored)
