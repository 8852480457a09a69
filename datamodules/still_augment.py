"""Augmentation of still pictures on the training device: the twelve operations of Dresvyanskiy et al. (SPECOM 2024).

Each happens to a picture independently with a probability of 0.05, in the order of `OPERATIONS`. The released code
applies them before the letter-box, to pictures of any size, and posterises half as often as its parameter says (an
inner probability left at its default); here they see the stored square, and lengths in pixels are those of 240 scaled
to it.
"""

from collections.abc import Callable, Collection
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

Operation = Literal[
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
]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
_PAD, _SIDE = 49, 240  # pixels at most, of pictures of this side


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _pad(image: Tensor) -> Tensor:
    size = list(image.shape[-2:])
    width = int(torch.randint(1, max(2, round(max(size) * _PAD / _SIDE) + 1), ()))
    shown: Tensor = v2.RandomCrop(size)(F.pad(image, [width]))
    return shown


def _crop(image: Tensor) -> Tensor:
    size, share = list(image.shape[-2:]), _uniform(0.7, 0.9)
    part = v2.RandomCrop([max(1, int(side * share)) for side in size])(image)
    shown: Tensor = F.resize(part, size, antialias=True)
    return shown


def _perspective(image: Tensor) -> Tensor:
    shown: Tensor = v2.RandomPerspective(distortion_scale=_uniform(0.3, 0.8), p=1.0)(image)
    return shown


def _rotation(image: Tensor) -> Tensor:
    most = int(torch.randint(0, 90, ()))
    shown: Tensor = F.rotate(image, _uniform(-most, most))
    return shown


def _posterize(image: Tensor) -> Tensor:
    shown: Tensor = F.posterize(image, bits=int(torch.randint(1, 3, ())))
    return shown


def _sharpness(image: Tensor) -> Tensor:
    shown: Tensor = F.adjust_sharpness(image, _uniform(0.1, 3))
    return shown


_FUNCTIONS: dict[Operation, Callable[[Tensor], Tensor]] = {
    "pad": _pad,
    "grayscale": v2.Grayscale(num_output_channels=3),
    "color_jitter": v2.ColorJitter(brightness=0.5, contrast=0.3, saturation=0.3, hue=0.3),
    "blur": v2.GaussianBlur(kernel_size=(5, 9), sigma=(0.1, 5.0)),
    "perspective": _perspective,
    "rotation": _rotation,
    "crop": _crop,
    "posterize": _posterize,
    "sharpness": _sharpness,
    "equalize": F.equalize,
    "horizontal_flip": F.horizontal_flip,
    "vertical_flip": F.vertical_flip,
}


def make_transform(probability: float = 0.05, without: Collection[Operation] = ()) -> v2.Compose:
    """Return the operations, each applied at random.

    Args:
        probability: Of each operation.
        without: Operations to leave out.

    Returns:
        A transform of uint8 pictures ``(..., 3, H, W)``, all changed alike; at least one operation has to remain.
    """
    kept = [_FUNCTIONS[name] for name in OPERATIONS if name not in without]
    return v2.Compose([v2.RandomApply([function], p=probability) for function in kept])


def augment(images: Tensor, clips: list[str], seed: int, epoch: int, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Augment pictures, each a function of seed, epoch and clip id alone.

    Args:
        images: uint8 ``(B, H, W, 3)``, or ``(B, T, H, W, 3)`` for T pictures that are changed alike; on any device.
        clips: Ids, B of them.
        seed: Of the run.
        epoch: Current epoch.
        transform: Of `make_transform`.

    Returns:
        uint8, of the same shape; ``images`` itself is left as it is.
    """
    generator = torch.default_generator  # where torchvision draws from, whatever the device
    state = generator.get_state()
    shown = []
    try:
        for image, clip in zip(images.movedim(-1, -3), clips, strict=True):
            generator.manual_seed(int(np.random.SeedSequence([seed, epoch, *clip.encode()]).generate_state(1)[0]))
            shown.append(transform(image).movedim(-3, -1))
    finally:
        generator.set_state(state)
    return torch.stack(shown)
