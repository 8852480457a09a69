"""Whole frames as a model sees them, and groups of consecutive ones, which a frozen encoder sees one by one."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.augment import IMAGENET_MEAN, IMAGENET_STD
from datamodules.errors import DataError

Normalization = Literal["half", "imagenet", "none"]
STATISTICS = {"half": ((0.5,) * 3, (0.5,) * 3), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}
SEGMENTS = 5  # what 75 frames are grouped into where no spectrograms say so: a group a second


def normalised(frames: Tensor, normalization: Normalization) -> Tensor:
    """Return stored frames ``(..., 3, H, W)`` as float32 less the mean of the pixels and over their deviation."""
    scaled = frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
    if normalization == "none":
        return scaled
    mean, std = (torch.tensor(part, device=frames.device).view(3, 1, 1) for part in STATISTICS[normalization])
    return (scaled - mean) / std


def pixel_facts(normalization: Normalization) -> dict[str, Any]:
    """Return the statistics that `normalised` takes pixels to, as `EmotionDataModule.input_facts` has them."""
    if normalization == "none":
        return {}
    mean, std = STATISTICS[normalization]
    return {"mean": mean, "std": std}


def group_count(video: int, audio: int | None) -> int:
    """Return the number of groups of a clip's video frames: one per spectrogram, or one a second without them.

    Args:
        video: Frames of a clip.
        audio: Its spectrograms; None where they are not read.

    Raises:
        DataError: Neither is a multiple of the other.
    """
    if audio is None:
        return SEGMENTS if video % SEGMENTS == 0 else video
    if max(video, audio) % min(video, audio):
        raise DataError(
            f"--data.frames: {video} of video and {audio} of audio do not go together; one must be a multiple of the "
            "other"
        )
    return min(video, audio)


def frame_groups(read: Callable[[range], Tensor], groups: int, start: int, stop: int) -> Tensor:
    """Return groups of consecutive frames out of those of all clips, ``(stop - start, N / G, 3, H, W)``.

    Args:
        read: Returns the frames ``(B, N, 3, H, W)`` of clips.
        groups: Of a clip, G.
        start: First group.
        stop: One past the last.
    """
    first, last = start // groups, -(-stop // groups)
    frames = read(range(first, last))
    grouped = frames.view(-1, frames.shape[1] // groups, *frames.shape[2:])
    return grouped[start - first * groups : stop - first * groups]
