"""Augmentation of whole clips on the training device: one draw per clip, one resampling pass per clip."""

from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class View(NamedTuple):
    """The visible part of a frame: a box in pixels, mirrored or not."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def draw_crop(
    rng: np.random.Generator,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.8, 1.4),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tuple[int, int, int, int]:
    """Draw the box of a random resized crop.

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


def draw_views(
    seed: int,
    epoch: int,
    clips: list[str],
    frames: int,
    size: tuple[int, int],
    scope: Literal["clip", "frame"],
) -> list[View]:
    """Draw a random resized crop and a flip per clip or per frame, a function of seed, epoch and clip id.

    Args:
        seed: Of the run.
        epoch: Current epoch.
        clips: Ids, B of them.
        frames: Frames per clip, T.
        size: Height and width of the frames.
        scope: One draw for the clip, or one for every frame (the released behaviour).

    Returns:
        B views, or B * T, clip after clip.
    """
    views = []
    for clip in clips:
        rng = np.random.default_rng([seed, epoch, *clip.encode()])
        for _ in range(1 if scope == "clip" else frames):
            views.append(View(*draw_crop(rng, *size), flip=bool(rng.random() < 0.5)))
    return views


def whole_views(batch: int, size: tuple[int, int]) -> list[View]:
    """Return views that show every clip whole."""
    return [View(0, 0, *size, flip=False)] * batch


def resample(video: Tensor, views: list[View], size: int) -> Tensor:
    """Resample views of clips bilinearly, with a low-pass filter where they shrink.

    Args:
        video: ``(B, T, H, W, C)`` uint8.
        views: B, one for all frames of a clip, or B * T, one for every frame.
        size: Height and width of the result in pixels.

    Returns:
        ``(B, T, size, size, C)``: uint8 on the CPU, which has a fast path for it, float32 in 0..255 elsewhere.
    """
    batch, frames, height, width, channels = video.shape
    if size == height == width and not any(view.flip or view[:4] != (0, 0, height, width) for view in views):
        return video
    planes = video.flatten(0, 1).permute(0, 3, 1, 2)
    shown = []
    for part, (top, left, h, w, flip) in zip(planes.chunk(len(views)), views, strict=True):
        part = part[..., top : top + h, left : left + w]
        part = part if part.device.type == "cpu" else part.float()
        if (h, w) != (size, size):
            part = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
        shown.append(part.permute(0, 2, 3, 1).flip(2) if flip else part.permute(0, 2, 3, 1))
    return torch.cat(shown).view(batch, frames, size, size, channels)


def to_float(video: Tensor, color_order: Literal["rgb", "bgr"] = "rgb") -> Tensor:
    """Normalise frames with the ImageNet statistics.

    Args:
        video: ``(B, T, H, W, 3)`` in 0..255, RGB.
        color_order: ``bgr`` swaps the channels but not the statistics (the released behaviour).

    Returns:
        ``(B, 3, T, H, W)`` float32, in memory still channels last.
    """
    if color_order == "bgr":
        video = video.flip(-1)
    width = video.shape[3]
    mean = torch.tensor(IMAGENET_MEAN, device=video.device).repeat(width)
    std = torch.tensor(IMAGENET_STD, device=video.device).repeat(width)
    # Whole rows at once: a last dimension of 3 is too short to vectorise.
    rows = video.flatten(3).to(torch.float32, copy=True).mul_(1 / (255 * std)).sub_(mean / std)
    return rows.view(video.shape).permute(0, 4, 1, 2, 3)
