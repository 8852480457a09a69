"""Networks that two or more papers use: the 3D ResNeXt for video and the 1D CNN for MFCCs.

3D ResNeXt: Hara, Kataoka, Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018,
https://arxiv.org/abs/1711.09577; original code https://github.com/kenshohara/3D-ResNets-PyTorch (MIT).
MFCC CNN: the audio network of Su et al., "MSAF: Multimodal Split Attention Fusion", 2020,
https://arxiv.org/abs/2012.07175; original code https://github.com/anita-hu/MSAF (MIT).

Both run in two levels with features ``(B, C, ...)`` after each, so that fusion layers can work after either, whatever
the network; another video network goes in by `VideoNetwork`.

What differs: no classifier (it belongs to the task, so that a trained backbone moves between tasks as it is), pooling
is left to the task, and the MFCC network takes any number of frames from 12 up. Width, depth and cardinality are
arguments, so that a small version trains on a CPU; the defaults are the papers' networks, parameter for parameter.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(out_channels))


class ResNeXtBottleneck3D(nn.Module):
    """1x1x1, grouped 3x3x3 and 1x1x1 convolution around a shortcut; the output has twice the middle's channels.

    Args:
        in_channels: Channels of the input.
        planes: Channels of the grouped convolution.
        stride: Its stride, in time, height and width alike.
        cardinality: Its groups.
    """

    def __init__(self, in_channels: int, planes: int, stride: int, cardinality: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv3d(in_channels, planes, 1, bias=False), nn.BatchNorm3d(planes), nn.ReLU(inplace=True)
        )
        self.grouped = nn.Sequential(
            nn.Conv3d(planes, planes, 3, stride=stride, padding=1, groups=cardinality, bias=False),
            nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )
        self.expand = nn.Sequential(nn.Conv3d(planes, 2 * planes, 1, bias=False), nn.BatchNorm3d(2 * planes))
        self.shortcut = _shortcut(in_channels, 2 * planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, T, H, W)`` to ``(B, 2 * planes, T', H', W')``."""
        return torch.relu_(self.expand(self.grouped(self.reduce(x))).add_(self.shortcut(x)))


class TwoLevelNetwork(nn.Module, ABC):
    """A network that gives features ``(B, C, ...)`` halfway and at its end.

    Attributes:
        level_channels: Channels C after either level.
    """

    level_channels: tuple[int, int]

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.level_channels[1]

    @abstractmethod
    def level1(self, x: Tensor) -> Tensor:
        """Return the features ``(B, level_channels[0], ...)`` of the input."""

    @abstractmethod
    def level2(self, x: Tensor) -> Tensor:
        """Return the features ``(B, level_channels[1], ...)`` of those of the first level."""

    def forward(self, x: Tensor) -> Tensor:
        """Run both levels."""
        return self.level2(self.level1(x))


class VideoNetwork(TwoLevelNetwork):
    """A network that can be ``model.video``: over frames, or over measurements in them."""

    @abstractmethod
    def stages(self) -> dict[str, nn.Module]:
        """Return the network's layer groups from input to output."""

    @abstractmethod
    def accepts(self, shape: list[int]) -> bool:
        """Return whether one clip may have this shape."""


class ResNeXt3D(VideoNetwork):
    """3D ResNeXt without its classifier; ResNeXt-50 of cardinality 32 by default (25,865,664 parameters).

    Args:
        layers: Blocks in each of the four stages.
        width: Channels of the stem; the grouped convolutions have 2, 4, 8 and 16 times as many.
        cardinality: Groups of the grouped convolutions; divides ``2 * width``.
    """

    def __init__(
        self, layers: tuple[int, int, int, int] = (3, 4, 6, 3), width: int = 64, cardinality: int = 32
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, width, 7, stride=(1, 2, 2), padding=3, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, stride=2, padding=1),
        )
        planes = [2 * width, 4 * width, 8 * width, 16 * width]
        self.layer1 = self._layer(width, planes[0], layers[0], 1, cardinality)
        self.layer2 = self._layer(2 * planes[0], planes[1], layers[1], 2, cardinality)
        self.layer3 = self._layer(2 * planes[1], planes[2], layers[2], 2, cardinality)
        self.layer4 = self._layer(2 * planes[2], planes[3], layers[3], 2, cardinality)
        self.level_channels = (2 * planes[2], 2 * planes[3])
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    @staticmethod
    def _layer(in_channels: int, planes: int, blocks: int, stride: int, cardinality: int) -> nn.Sequential:
        first = ResNeXtBottleneck3D(in_channels, planes, stride, cardinality)
        rest = [ResNeXtBottleneck3D(2 * planes, planes, 1, cardinality) for _ in range(blocks - 1)]
        return nn.Sequential(first, *rest)

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "clip of pictures"

    def stages(self) -> dict[str, nn.Module]:
        """Return the network's layer groups from input to output."""
        names = ("stem", "layer1", "layer2", "layer3", "layer4")
        return {name: self.get_submodule(name) for name in names}

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of frames, ``[3, T, H, W]``."""
        return len(shape) == 4 and shape[0] == 3

    def level1(self, x: Tensor) -> Tensor:
        """Run stem and three stages: normalised ``(B, 3, T, H, W)`` to features 8 times shorter, 16 times smaller."""
        features: Tensor = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return features

    def level2(self, x: Tensor) -> Tensor:
        """Run the last stage; in all, time is shortened 16 times, height and width 32 times, rounded up."""
        features: Tensor = self.layer4(x)
        return features


class MFCCNet(TwoLevelNetwork):
    """1D CNN over MFCC frames without its classifier (20,704 parameters by default).

    The 1D layers are written as 2D ones over a height of 1: same parameters and formula, faster kernels.

    Args:
        n_mfcc: Coefficients per frame.
        channels: Channels of the first two convolutions and of the last one.
        dropout: Dropout before the last convolution.
    """

    def __init__(self, n_mfcc: int = 13, channels: tuple[int, int] = (32, 64), dropout: float = 0.2) -> None:
        super().__init__()
        self.n_mfcc = n_mfcc
        self.level_channels = channels
        narrow, wide = channels
        self.layers = nn.Sequential(
            nn.Conv2d(n_mfcc, narrow, (1, 7), padding=(0, 2)),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(narrow),
            nn.Conv2d(narrow, narrow, (1, 7), padding=(0, 2)),
            nn.ReLU(inplace=True),
            nn.MaxPool2d((1, 8)),
            nn.BatchNorm2d(narrow),
            nn.Dropout(dropout),
            nn.Conv2d(narrow, wide, (1, 5), padding=(0, 2)),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(wide),
        )

    @staticmethod
    def steps(frames: int) -> int:
        """Return steps that so many MFCC frames give: 26 for 212."""
        return (frames - 4) // 8

    @staticmethod
    def valid_steps(length: Tensor) -> Tensor:
        """Return `steps` of the ``length`` ``(B,)`` frames before the padding, a partly filled last one counted."""
        return (length + 3).div(8, rounding_mode="floor").clamp_min(1)

    def level1(self, x: Tensor) -> Tensor:
        """Run two convolutions: MFCCs, not normalised, ``(B, n_mfcc, T)``, T at least 12, to ``(B, C, T - 4)``."""
        return self._run(slice(0, 5), x)

    def level2(self, x: Tensor) -> Tensor:
        """Run pooling and the last convolution: ``(B, channels, S)`` with ``S = steps(T)``."""
        return self._run(slice(5, None), x)

    def _run(self, layers: slice, x: Tensor) -> Tensor:
        # A step of plain 1D layers takes 1.4 times as long on a CPU: only 2D ones know the channels-last layout.
        features: Tensor = self.layers[layers](x.unsqueeze(2).contiguous(memory_format=torch.channels_last))
        return features.squeeze(2)


def pooled(features: Tensor) -> Tensor:
    """Return the mean over all places: ``(B, C, ...)`` to ``(B, C)``."""
    return features.mean(tuple(range(2, features.ndim))) if features.ndim > 2 else features


def video_network(given: VideoNetwork | None, input_shapes: dict[str, list[int]]) -> VideoNetwork:
    """Return the video network that was asked for, or the paper's, checked against the data.

    Args:
        given: A network, or None for the paper's.
        input_shapes: ``{"video": [3, T, H, W], ...}``, or what else ``given`` accepts.

    Raises:
        TaskError: If the data has no video, or of another shape.
    """
    if "video" not in input_shapes:
        raise TaskError("this model needs video: add it to data.modalities and prepare a corpus that has it")
    network, shape = given or ResNeXt3D(), input_shapes["video"]
    if not network.accepts(shape):
        raise TaskError(
            f"model.video: {type(network).__name__} cannot read clips of shape {shape}; name another network there, "
            "ResNeXt3D for [3, T, H, W] or ActionUnitNet for [units]"
        )
    return network


def audio_network(given: MFCCNet | None, input_shapes: dict[str, list[int]]) -> tuple[MFCCNet, int]:
    """Return the audio network that was asked for, or the paper's, checked against the data.

    Args:
        given: A network, or None for the paper's.
        input_shapes: ``{"audio": [n_mfcc, T], ...}``.

    Returns:
        The network and the number of its output steps.

    Raises:
        TaskError: If the data has no audio, or MFCCs of another size.
    """
    if "audio" not in input_shapes:
        raise TaskError("this model needs audio: add it to data.modalities and prepare a corpus that has it")
    if len(input_shapes["audio"]) != 2:
        raise TaskError(f"this model reads audio of shape [n_mfcc, T]; the data has {list(input_shapes['audio'])}")
    n_mfcc, frames = input_shapes["audio"]
    if not n_mfcc or not frames:
        raise TaskError(
            "this model reads MFCCs [n_mfcc, T] of one length; --data.steps '{audio: N}' cuts and pads them, and "
            "--data.time_last '[audio]' says that time is their last axis"
        )
    network = given or MFCCNet(n_mfcc)
    if network.n_mfcc != n_mfcc:
        raise TaskError(f"model.audio: n_mfcc is {network.n_mfcc}, the data has {n_mfcc} coefficients; leave it out")
    if network.steps(frames) < 1:
        raise TaskError(f"model.audio: MFCCs of {frames} frames are too short, 12 is the least; prepare longer clips")
    return network, network.steps(frames)
