"""Encoders of EmotiW 2023: a CNN with a transformer layer for spectrograms, an image network for frames.

Those of Augusma, Vaufreydaz, Letué, ICMI 2023, https://arxiv.org/abs/2312.05265; what differs from the released code is
in `lightning_modules.emotiw.model`.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.encoders import load_backbone_weights, timm_backbone
from lightning_modules.nn.layers import Positions
from lightning_modules.nn.modality_encoders import encoder_stages
from lightning_modules.nn.networks.layer_groups import Frozen, LayerGroups, backbone_stages
from lightning_modules.nn.pretrained_encoder import PretrainedEncoder, StillEncoder

SMALLEST = 106  # pixels that four times three unpadded convolutions and a pooling need


class AudioEncoder(nn.Module):
    """Spectrograms of a clip's segments: a CNN per segment, then one transformer layer over the segments.

    Four times: three 3x3 convolutions without padding, each with a ReLU, and 2x2 max pooling; what is left is averaged
    over frequency and, in two halves, over time. Then positions are added, and ``x + MHA(LN(x))``, ``x + FF(LN(x))``.
    16,199,744 parameters as released; the norms of the convolutions are 5,696 more.

    Args:
        width: Channels of the first convolution; an embedding has 32 times as many.
        norm: ``group`` normalises after every convolution, each spectrogram by itself; ``none`` as released.
        init: Of the convolutions: ``kaiming`` normal, or the one of ``torch`` as released.
        heads: Attention heads.
        hidden: Units of the feed-forward network.
        dropout: Between its two layers.
        attention_dropout: Of the attention weights.
    """

    def __init__(
        self,
        width: int = 32,
        norm: Literal["group", "none"] = "group",
        init: Literal["kaiming", "torch"] = "kaiming",
        heads: int = 1,
        hidden: int = 2048,
        dropout: float = 0.5,
        attention_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.channels = size = 32 * width
        if width < 1 or size % heads:
            raise TaskError(
                f"model.audio: width {width} is at least 1, and heads {heads} must divide its 32 x width channels"
            )
        ladder = [1, width, 2 * width, 2 * width, *[4 * width] * 3, *[8 * width] * 3, *[16 * width] * 3]
        blocks = [
            nn.Sequential(
                *(
                    layer
                    for at in range(start, start + 3)
                    for layer in _convolution(ladder[at], ladder[at + 1], norm, init)
                ),
                nn.MaxPool2d(2),
            )
            for start in range(0, 12, 3)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.AdaptiveAvgPool2d((1, 2))
        self.positions = Positions(dropout=0.0)
        self.attention_norm = nn.LayerNorm(size, eps=1e-6)
        self.attention = nn.MultiheadAttention(size, heads, attention_dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(size, eps=1e-6),
            nn.Linear(size, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, size),
        )

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "spectrograms"

    def stages(self) -> Stages:
        """Return the four blocks of convolutions and the transformer layer."""
        blocks: Stages = {f"audio_block{number}": [block] for number, block in enumerate(self.blocks, 1)}
        return {**blocks, "audio_attention": [self.attention_norm, self.attention, self.feed_forward]}

    @staticmethod
    def check(height: int, width: int) -> None:
        """Refuse spectrograms that the network cannot read.

        Args:
            height: Their frequencies.
            width: Their time steps.

        Raises:
            TaskError: If they are too small.
        """
        if min(height, width) < SMALLEST:
            raise TaskError(
                f"model.audio: spectrograms of {height}x{width} are too small for 12 unpadded convolutions; "
                f"prepare them at {SMALLEST}x{SMALLEST} or more"
            )

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Embed a clip's segments.

        Args:
            segments: Spectrograms ``(B, T, 1, H, W)``.

        Returns:
            Embeddings ``(B, T, channels)`` and what attended to what ``(B, T, T)``.
        """
        x = segments.flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        x = self.positions(self.pool(x).flatten(1).unflatten(0, segments.shape[:2]))
        normed = self.attention_norm(x)
        found, attention = self.attention(normed, normed, normed)
        x = x + found
        return x + self.feed_forward(x), attention


def _convolution(inputs: int, outputs: int, norm: str, init: str) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3)
    if init == "kaiming":
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
    norms = [nn.GroupNorm(math.gcd(8, outputs), outputs)] if norm == "group" else []
    return [convolution, *norms, nn.ReLU(inplace=True)]


class FrameGroups(PretrainedEncoder):
    """Any encoder of pictures in place of `VideoEncoder`: the mean over frames that belong together.

    Args:
        encoder: Of pictures.

    Raises:
        TaskError: If it is none.
    """

    def __init__(self, encoder: nn.Module) -> None:
        if not isinstance(encoder, StillEncoder) or getattr(encoder, "pooling", None) == "none":
            raise TaskError(
                f"model.encoders.video: EmotiW reads one vector a frame, which {type(encoder).__name__} does not give "
                "so; name HFImage or Timm, of one vector a picture"
            )
        super().__init__(encoder.weights)
        self.encoder: StillEncoder = encoder
        self.channels, self.frozen = encoder.channels, encoder.frozen

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of groups of frames, ``[F, 3, H, W]``."""
        return len(shape) == 4 and self.encoder.accepts(shape[1:])

    def describe_input(self, rate: int | None = None, mean: Any = None, std: Any = None) -> None:
        """Tell the encoder what the numbers of the data mean."""
        self.encoder.describe_input(rate, mean, std)

    def load_pretrained(self) -> None:
        """Load the encoder's weights."""
        self.encoder.load_pretrained()

    def check(self, height: int, width: int) -> None:
        """Pictures of any size do: they are resized."""

    def stages(self) -> Stages:
        """Return the encoder's stages; no schedule trains frozen ones."""
        return encoder_stages("video", self.encoder)

    def forward(self, groups: Tensor) -> Tensor:
        """Embed groups of frames ``(N, F, 3, H, W)`` to ``(N, channels)``."""
        embedded: Tensor = self.encoder(groups.flatten(0, 1))
        return embedded.view(*groups.shape[:2], -1).mean(1)


class VideoEncoder(nn.Module):
    """The mean of an image network's features over frames that belong together.

    303,179,776 parameters by default: OpenCLIP's ViT-L/14, its class token before the projection.

    Args:
        backbone: Name of the network in timm.
        freeze: ``all``: nothing of it trains, no gradient passes through it, and it runs once per clip. ``none``:
            everything trains, as in the paper. A number: the last so many blocks and what follows them train.
            ``blocks``: the blocks do not train and everything around them does, as the released code means to.
        weights: Pretrained weights that a fresh training starts from: see `load_backbone_weights`.
        options: Other arguments of `timm.create_model`, for example ``{img_size: 64}``.

    Raises:
        TaskError: If timm has no such network, or it has fewer blocks than are to train.
    """

    def __init__(
        self,
        backbone: str = "vit_large_patch14_clip_224.laion2b",
        freeze: Literal["all", "none", "blocks"] | int = "all",
        weights: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        network: Any = timm_backbone(backbone, **(options or {}))
        self.backbone: nn.Module = network
        self.channels: int = network.head_hidden_size
        self.weights = weights
        self.frozen = freeze == "all"
        self._groups = LayerGroups(backbone_stages(self.backbone), freeze, "model.video.freeze")
        self.train()

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "whole frames"

    def stages(self) -> Stages:
        """Return one stage where all is frozen, else those of `backbone_stages`; no schedule trains frozen ones."""
        return {"video": [Frozen(self.backbone)]} if self.frozen else self._groups.stages("video_")

    def train(self, mode: bool = True) -> "VideoEncoder":
        """Switch everything but what is frozen, which stays in eval mode."""
        super().train(mode and not self.frozen)
        self._groups.hold()
        return self

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_backbone_weights(self.backbone, self.weights)

    def check(self, height: int, width: int) -> None:
        """Refuse frames that the network cannot read.

        Args:
            height: Their height in pixels.
            width: Their width in pixels.

        Raises:
            TaskError: If it is built for another size.
        """
        patches: Any = getattr(self.backbone, "patch_embed", None)
        size = getattr(patches, "img_size", None)
        if size is not None and getattr(patches, "strict_img_size", True) and tuple(size) != (height, width):
            raise TaskError(
                f"model.video: the backbone reads frames of {size[0]}x{size[1]} pixels, the data has {height}x{width}; "
                f"prepare them at its size, or build it for theirs: model.video.options '{{img_size: {height}}}'"
            )

    def forward(self, groups: Tensor) -> Tensor:
        """Embed groups of frames.

        Args:
            groups: Normalised frames ``(N, F, 3, H, W)``.

        Returns:
            ``(N, channels)``.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.backbone(groups.flatten(0, 1))
            return features.view(*groups.shape[:2], -1).mean(1)
