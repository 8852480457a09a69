"""Augmentation of whole clips on the training device: one draw per clip, one resampling pass per batch."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def draw_crop(
    rng: np.random.Generator,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.8, 1.4),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tuple[int, int, int, int]:
    """Draws the box of a random resized crop.

    Ten tries at a box of random area and aspect; if none fits, the whole image. The paper's upper scale of 1.4 asks
    for more than there is: such draws fail, so that about a quarter of the clips stay whole.

    Args:
        rng: Source of the draw.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        scale: Range of the area relative to the image.
        ratio: Range of width over height, drawn log-uniformly.

    Returns:
        Top, left, height, width in pixels.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(*np.log(ratio)))
        w, h = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return 0, 0, height, width


def draw_affine(
    seed: int,
    epoch: int,
    clips: list[str],
    frames: int,
    size: tuple[int, int],
    scope: Literal["clip", "frame"],
) -> Tensor:
    """Draws a random resized crop and a flip per clip or per frame, a function of seed, epoch and clip id.

    Args:
        seed: Of the run.
        epoch: Current epoch.
        clips: Ids, B of them.
        frames: Frames per clip, T.
        size: Height and width of the frames.
        scope: One draw for the clip, or one for every frame (the released behaviour).

    Returns:
        ``(B, 2, 3)`` or ``(B * T, 2, 3)`` affine maps for `resample`.
    """
    height, width = size
    maps = []
    for clip in clips:
        rng = np.random.default_rng([seed, epoch, *clip.encode()])
        for _ in range(1 if scope == "clip" else frames):
            top, left, h, w = draw_crop(rng, height, width)
            sign = -1.0 if rng.random() < 0.5 else 1.0
            x, y = (2 * left + w) / width - 1, (2 * top + h) / height - 1
            maps.append([[sign * w / width, 0, x], [0, h / height, y]])
    return torch.tensor(maps, dtype=torch.float32)


def to_float(video: Tensor, color_order: Literal["rgb", "bgr"] = "rgb") -> Tensor:
    """Normalises stored frames with the ImageNet statistics.

    Args:
        video: ``(B, T, H, W, 3)`` uint8, RGB.
        color_order: ``bgr`` swaps the channels but not the statistics (the released behaviour).

    Returns:
        ``(B, 3, T, H, W)`` float32.
    """
    planes = video.permute(0, 4, 1, 2, 3)
    if color_order == "bgr":
        planes = planes.flip(1)
    mean = torch.tensor(IMAGENET_MEAN, device=video.device).view(3, 1, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=video.device).view(3, 1, 1, 1)
    pixels = planes.contiguous().float()
    return pixels.mul_(1 / (255 * std)).sub_(mean / std)


def resize(video: Tensor, size: int) -> Tensor:
    """Resizes frames, with a low-pass filter when they shrink.

    Args:
        video: ``(B, C, T, H, W)`` float.
        size: Height and width of the result.

    Returns:
        ``(B, C, T, size, size)``.
    """
    if video.shape[-2:] == (size, size):
        return video
    batch, channels, frames = video.shape[:3]
    planes = F.interpolate(video.flatten(1, 2), (size, size), mode="bilinear", antialias=True)
    return planes.view(batch, channels, frames, size, size)


def resample(video: Tensor, maps: Tensor) -> Tensor:
    """Applies crops and flips with one bilinear pass.

    Args:
        video: ``(B, C, T, H, W)`` float.
        maps: ``(B, 2, 3)``, one for a clip, or ``(B * T, 2, 3)``, one for a frame, from output to input coordinates.

    Returns:
        The same shape as ``video``.
    """
    batch, channels, frames, height, width = video.shape
    if len(maps) == batch:  # all frames of a clip share a sampling grid: they ride along as channels
        planes = video.flatten(1, 2)
        grid = F.affine_grid(maps.to(video.device), list(planes.shape), align_corners=False)
        return F.grid_sample(planes, grid, padding_mode="border", align_corners=False).view(video.shape)
    planes = video.transpose(1, 2).flatten(0, 1)
    grid = F.affine_grid(maps.to(video.device), list(planes.shape), align_corners=False)
    sampled = F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
    return sampled.view(batch, frames, channels, height, width).transpose(1, 2).contiguous()
