"""Encoders of single frames: a face or an upper body to an embedding that static and dynamic models read.

Those of Dresvyanskiy, Karpov, Minker, "A Cross-Multi-Modal Fusion Approach for Enhanced Engagement Recognition",
SPECOM 2024; what differs from its released code is in `lightning_modules.static_emotion`.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from lightning_modules.base import Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_backbone_weights, timm_backbone
from lightning_modules.nn.layers import BatchNorm
from lightning_modules.nn.networks.layer_groups import backbone_stages
from lightning_modules.nn.pose import JOINTS, UPPER_BODY, PoseNetwork, draw_heatmaps


class FrameEncoder(nn.Module, ABC):
    """One frame to one embedding between -1 and 1: features, dropout, a linear layer, BatchNorm, tanh.

    Args:
        features: Size of the features.
        dropout: Dropout of the features.
        dim: Size of the embedding.
    """

    def __init__(self, features: int, dropout: float, dim: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, dim)
        self.norm = BatchNorm(dim)

    @property
    def channels(self) -> int:
        """Size of the embedding."""
        return self.linear.out_features

    @abstractmethod
    def features(self, frames: Tensor) -> Tensor:
        """Return the features ``(N, F)`` of frames."""

    @abstractmethod
    def feature_stages(self) -> Stages:
        """Return the layer groups of the features, from input to output."""

    @abstractmethod
    def accepts(self, shape: list[int]) -> bool:
        """Return whether one frame may have this shape."""

    @abstractmethod
    def load_pretrained(self) -> None:
        """Load the weights that a fresh training starts from, where there are any."""

    def stages(self) -> Stages:
        """Return all layer groups from input to output as the paper counts them, those without parameters included."""
        return {
            **self.feature_stages(),
            "dropout": [self.dropout],
            "linear": [self.linear],
            "norm": [self.norm],
            "tanh": [],
        }

    def forward(self, frames: Tensor) -> Tensor:
        """Embed frames.

        Args:
            frames: ``(N, ...)``.

        Returns:
            ``(N, channels)``.
        """
        return torch.tanh(self.norm(self.linear(self.dropout(self.features(frames)))))


class FaceEmbedding(FrameEncoder):
    """Embedding of a face crop by a network of timm (6,841,632 parameters by default).

    Args:
        backbone: Name of the network in timm.
        dropout: Dropout of its pooled features.
        dim: Size of the embedding.
        weights: Pretrained weights that a fresh training starts from: see `load_backbone_weights`.
        options: Other arguments of `timm.create_model`. Where not given, ``{"drop_path_rate": 0.2}``: the stochastic
            depth that torchvision's EfficientNets, the paper's, have by default.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_b1",
        dropout: float = 0.1,
        dim: int = 256,
        weights: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        network: Any = timm_backbone(backbone, **({"drop_path_rate": 0.2} if options is None else options))
        super().__init__(network.head_hidden_size, dropout, dim)
        self.backbone: nn.Module = network
        self.weights = weights

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "picture"

    def features(self, frames: Tensor) -> Tensor:
        """Return pooled features ``(N, F)`` of normalised images ``(N, 3, S, S)``."""
        features: Tensor = self.backbone(frames)
        return features

    def feature_stages(self) -> Stages:
        """Return the stages: those of the network, the pooling, and the classifier that it had."""
        return {**backbone_stages(self.backbone), "pool": [], "identity": []}

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of images, ``[3, S, S]``."""
        return len(shape) == 3 and shape[0] == 3

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_backbone_weights(self.backbone, self.weights)


class PoseResidualBlock(nn.Module):
    """Two 3x3 convolutions around a 1x1 shortcut; halves the map. The convolutions have biases, as in the paper.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride=2), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, out_channels, H / 2, W / 2)``, rounded up."""
        return torch.relu(self.layers(x) + self.shortcut(x))


class KinesicsEmbedding(FrameEncoder):
    """Embedding of the upper body's pose: heat maps of 13 joints, three residual blocks, pooling.

    1,463,808 parameters that train by default, and the 28,536,113 of the pose network, which never does.

    Args:
        source: Where heat maps come from: ``images`` (the pose network) or ``joints`` (drawn from coordinates).
        dropout: Dropout of the pooled features.
        dim: Size of the embedding.
        widths: Channels after each residual block.
        backbone: The pose network: an ``hrnet_*`` of timm.
        weights: Its official checkpoint, read when a fresh training starts: see `PoseNetwork.load_pose_weights`.
        map_size: Side of a drawn heat map; a pose network's has a quarter of the image's.
        sigma: Standard deviation of a drawn joint.
    """

    def __init__(
        self,
        source: Literal["images", "joints"] = "images",
        dropout: float = 0.1,
        dim: int = 256,
        widths: tuple[int, int, int] = (128, 128, 256),
        backbone: str = "hrnet_w32",
        weights: str | None = None,
        map_size: int = 64,
        sigma: float = 2.0,
    ) -> None:
        if source == "joints" and weights is not None:
            raise TaskError(f"weights {weights}: joints are drawn, there is no pose network; leave it out")
        super().__init__(widths[2], dropout, dim)
        self.pose = PoseNetwork(backbone) if source == "images" else None
        channels = (UPPER_BODY, *widths)
        self.blocks = nn.ModuleList(PoseResidualBlock(channels[i], channels[i + 1]) for i in range(3))
        self.weights = weights
        self.map_size = map_size
        self.sigma = sigma

    @classmethod
    def kind_read(cls, source: str = "images", **options: Any) -> str:
        """Return the kind of input."""
        return "picture" if source == "images" else source

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or unfreeze all but the pose network."""
        super().requires_grad_(requires_grad)
        if self.pose is not None:
            self.pose.requires_grad_(False)
        return self

    def features(self, frames: Tensor) -> Tensor:
        """Return pooled features ``(N, F)`` of normalised images ``(N, 3, S, S)`` or of joints ``(N, 17, 3)``."""
        upper = slice(None, UPPER_BODY)
        if self.pose is None:
            maps = draw_heatmaps(frames[:, upper], self.map_size, self.sigma)
        else:
            maps = self.pose(frames)[:, upper]
        for block in self.blocks:
            maps = block(maps)
        return maps.mean((2, 3))

    def feature_stages(self) -> Stages:
        """Return the pose network, where there is one, the residual blocks, the pooling, its flattening."""
        blocks: Stages = {f"residual{number}": [block] for number, block in enumerate(self.blocks, 1)}
        pose: Stages = {} if self.pose is None else {"pose": [self.pose]}
        return {**pose, **blocks, "pool": [], "flatten": []}

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of images, ``[3, S, S]``, S a multiple of 32, or of joints, ``[17, 3]``."""
        if self.pose is None:
            return shape == [JOINTS, 3]
        return len(shape) == 3 and shape[0] == 3 and not (shape[1] % 32 or shape[2] % 32)

    def load_pretrained(self) -> None:
        """Load the pose network's weights.

        Raises:
            TaskError: If there are none: it would say nothing, and never learn to.
        """
        if self.pose is None:
            return
        if self.weights is None:
            raise TaskError(
                "KinesicsEmbedding needs weights: its pose network is never trained here. Name the official "
                "pose_hrnet_w32_256x192.pth there,\nor take joints of another pose tool: source: joints"
            )
        self.pose.load_pose_weights(self.weights)
