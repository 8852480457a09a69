"""The fusions that CFN-SR is compared with on RAVDESS: early (Concat + FC, MCBP) and intermediate (MMTM, MSAF).

Each is a small head, or a pair of layers of `lightning_modules.nn.fusion` (papers and licences there), over the two
networks of `lightning_modules.nn.backbones`. Only MSAF was released as trained here. Of the others the table of MSAF
and CFN-SR gives a parameter count; it fits what stands below, with the heads of the two networks alone (29,712
parameters) carried along and never used. Those are left out here. All can start from the checkpoints of the networks
alone; what they add starts from torch's initial weights, as the released code of MSAF and of MMTM does (Fukui et al.
draw the classifier over their pooling by Xavier).
"""

from typing import Any, Literal

import torch
from torch import nn

from lightning_modules.base import Batch, Stages
from lightning_modules.nn.audio_video import AudioVideoTask
from lightning_modules.nn.backbones import MFCCNet, VideoNetwork
from lightning_modules.nn.fusion import CompactBilinearPooling, MMTMBlock, MSAFBlock


class ConcatFC(AudioVideoTask):
    """Early fusion: pooled video beside flattened audio, one hidden layer (26,838,952 parameters by default).

    Of any encoders it is their vectors side by side, those after the first with dropout.

    Published: 26,868,664, with the unused heads. The hidden width is inferred from that count.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        audio: The audio network; the paper's where not given.
        hidden: Units of the hidden layer; without one (null) a linear layer reads the features.
        head_dropout: Dropout of the audio features before the head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, or its shape is not what a network reads.
    """

    states = False

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        hidden: int | None = 256,
        head_dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video, audio, **kwargs)
        self.head_dropout = nn.Dropout(head_dropout)
        width = sum(self.vector_sizes)
        self.head = _two_layers(width, hidden, num_classes) if hidden else nn.Linear(width, num_classes)

    def stages(self) -> Stages:
        """Return the stages: video stages, audio network, head."""
        return {**self.network_stages(), "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the head reads.
        """
        first, *others = self.vectors(batch)
        embedding = torch.cat([first, *(self.head_dropout(vector) for vector in others)], dim=1)
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}


class MCBP(AudioVideoTask):
    """Early fusion by compact bilinear pooling and one hidden layer (51,004,497 parameters by default).

    Published: 51,034,209, with the unused heads. The count fits several widths; d is the original paper's, the hidden
    width is inferred from it. A clip that lacks a modality has nothing to multiply: it gets the scores of the biases.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        audio: The audio network; the paper's where not given.
        dim: Length d of the pooled vector.
        hidden: Units of the hidden layer.
        dropout: Dropout of the pooled vector.
        sketch_seed: Draws the sketch; the same for all runs.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, or its shape is not what a network reads.
    """

    states = False

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        dim: int = 16000,
        hidden: int = 1569,
        dropout: float = 0.1,
        sketch_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video, audio, **kwargs)
        first, second, *more = self.vector_sizes
        self.pooling = CompactBilinearPooling(first, second, dim, sketch_seed, more)
        self.dropout = nn.Dropout(dropout)
        self.head = _two_layers(dim, hidden, num_classes)

    def stages(self) -> Stages:
        """Return the stages: video stages, audio network, head."""
        return {**self.network_stages(), "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, d)``, the pooled vector.
        """
        embedding = self.pooling(*self.vectors(batch))
        return {"logits": self.head(self.dropout(embedding)), "aux": {"embedding": embedding}}


class MMTM(AudioVideoTask):
    """Intermediate fusion by two transfer modules, at MSAF's places (31,943,096 parameters by default).

    Of any encoders it is one module, over what they say at their end.

    Published: 31,972,808, with the unused heads. The head (features side by side, one hidden layer) and the places are
    inferred from that count.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        audio: The audio network; the paper's where not given.
        ratio: Narrows the squeezed vector, see `MMTMBlock`.
        width: Its width, as ``released`` or as in the ``paper``.
        gate: Its gates, likewise.
        hidden: Units of the head's hidden layer.
        head_dropout: Dropout of the audio features before the head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, or its shape is not what a network reads.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        ratio: int = 4,
        width: Literal["released", "paper"] = "released",
        gate: Literal["released", "paper"] = "released",
        hidden: int = 128,
        head_dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video, audio, **kwargs)
        self.fusions = nn.ModuleList(
            MMTMBlock(first, second, ratio, width, gate, more) for first, second, *more in self.level_sizes
        )
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = _two_layers(sum(self.vector_sizes), hidden, num_classes)

    def stages(self) -> Stages:
        """Return the stages: video stages, audio network, both modules, head."""
        return {**self.network_stages(), "fusion": [self.fusions], "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the head reads.
        """
        first, *others = self.vectors(batch, *self.fusions)
        embedding = torch.cat([first, *(self.head_dropout(vector) for vector in others)], dim=1)
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}


class MSAF(AudioVideoTask):
    """Intermediate fusion by two split-attention blocks; the logits of both heads add up (25,940,724 parameters).

    Of any encoders it is one block, that of the second level, over what they say at their end, and a head each.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        audio: The audio network; the paper's where not given.
        blocks: Channels of a block at either level.
        reduction: Narrows the squeezed vector, see `MSAFBlock`.
        block_dropout: Rate at which training drops a block of a clip.
        dropout_twice: Scale kept blocks twice, as the released code does.
        head_dropout: Dropout of the audio features before their head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, its shape is not what a network reads, or the blocks do not divide the
            channels.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        blocks: tuple[int, int] = (16, 32),
        reduction: int = 4,
        block_dropout: float = 0.2,
        dropout_twice: bool = False,
        head_dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video, audio, **kwargs)
        levels = self.level_sizes
        self.fusions = nn.ModuleList(
            MSAFBlock(first, second, block, reduction, block_dropout, dropout_twice, more)
            for (first, second, *more), block in zip(levels, blocks[-len(levels) :], strict=True)
        )
        self.head_dropout = nn.Dropout(head_dropout)
        first, second, *more = self.vector_sizes
        self.video_head = nn.Linear(first, num_classes)
        self.audio_head = nn.Linear(second, num_classes)
        self.more_heads = nn.ModuleList(nn.Linear(size, num_classes) for size in more)

    def stages(self) -> Stages:
        """Return the stages: video stages, audio network, blocks, heads."""
        heads: list[nn.Module | nn.Parameter] = [self.video_head, self.audio_head, *self.more_heads]
        return {**self.network_stages(), "fusion": [self.fusions], "head": heads}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` and ``audio`` as the networks read them, and their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the heads read.
        """
        first, *others = vectors = self.vectors(batch, *self.fusions)
        logits = self.video_head(first)
        for head, vector in zip([self.audio_head, *self.more_heads], others, strict=True):
            logits = logits + head(self.head_dropout(vector))
        return {"logits": logits, "aux": {"embedding": torch.cat(vectors, dim=1)}}


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs))
