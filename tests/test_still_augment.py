"""datamodules/still_augment.py: every operation does what it is called, rarely, a function of seed, epoch, id."""

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from datamodules.still_augment import _FUNCTIONS, OPERATIONS, augment, make_transform


def images(count=4, side=48):
    generator = torch.Generator().manual_seed(0)
    small = torch.randint(0, 256, (count, 3, 6, 6), generator=generator).float()
    smooth = F.resize(small, [side, side + 8], antialias=True).clamp(0, 255).to(torch.uint8)
    return smooth.permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_size_and_kind_and_changes_the_picture(name):
    torch.manual_seed(0)
    image = images(1)[0].permute(2, 0, 1)
    before = image.clone()
    shown = _FUNCTIONS[name](image)
    assert shown.shape == image.shape
    assert shown.dtype == torch.uint8
    assert not torch.equal(shown, image)
    assert torch.equal(image, before)


def test_operations_are_the_twelve_of_the_paper_in_order():
    assert OPERATIONS == (
        "pad",
        "grayscale",
        "color_jitter",
        "blur",
        "perspective",
        "rotation",
        "crop",
        "posterize",
        "sharpness",
        "equalize",
        "horizontal_flip",
        "vertical_flip",
    )
    only = make_transform(1.0, [name for name in OPERATIONS if name not in ("vertical_flip", "horizontal_flip")])
    image = images(1)[0].permute(2, 0, 1)
    assert torch.equal(only(image), image.flip(1, 2))


def test_particular_operations():
    image = images(1)[0].permute(2, 0, 1)
    gray = _FUNCTIONS["grayscale"](image)
    assert torch.equal(gray[0], gray[2])
    for seed in range(6):
        torch.manual_seed(seed)
        levels = _FUNCTIONS["posterize"](image).unique()
        assert len(levels) in (2, 3, 4)  # one or two bits
    torch.manual_seed(0)
    moved = _FUNCTIONS["pad"](image)
    assert (moved == 0).all(0).any()  # black where the padding shows


def test_each_happens_in_a_twentieth_of_the_pictures():
    one = make_transform(0.05, [name for name in OPERATIONS if name != "vertical_flip"])
    faces = images(1).expand(2000, -1, -1, -1)
    shown = augment(faces, [str(i) for i in range(2000)], 0, 0, one)
    share = (shown != faces).flatten(1).any(1).float().mean()
    assert share == pytest.approx(0.05, abs=0.015)
    none = make_transform(0.0)
    assert torch.equal(augment(images(), list("abcd"), 0, 0, none), images())


def test_a_function_of_seed_epoch_and_id_alone():
    faces, transform = images().repeat(2, 1, 1, 1)[:6], make_transform(0.5)

    def shown(seed, epoch, order=(0, 1, 2, 3, 4, 5)):
        return augment(faces[list(order)], [f"clip{i}" for i in order], seed, epoch, transform)

    base = shown(1, 2)
    torch.rand(7)
    assert torch.equal(base, shown(1, 2))
    assert torch.equal(base.flip(0), shown(1, 2, range(5, -1, -1)))
    assert torch.equal(base[2:3], shown(1, 2, [2]))
    assert not torch.equal(base, shown(2, 2))
    assert not torch.equal(base, shown(1, 3))
    assert not torch.equal(base[0], base[4])  # the same picture under two ids


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    faces = images()
    stored = faces.clone()
    augment(faces, list("abcd"), 0, 0, make_transform(1.0))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(faces, stored)
