"""CFN-SR: audio-video fusion by cross-modal attention with self-attention and residual structure.

Fu, Liu, Wang, Qi, Fu, Zhou, Li, "A cross-modal fusion network based on self-attention and residual structure for
multimodal emotion recognition", 2021, https://arxiv.org/abs/2111.02172; original code
https://github.com/skeletonNN/CFN-SR. The self-attention encoder is that of Tsai et al., "Multimodal Transformer for
Unaligned Multimodal Language Sequences", ACL 2019, https://arxiv.org/abs/1906.00295 (MIT).

What differs from the released code:
- Its main network cannot run (the self-attention is called and never built); this is the network its log reports:
  26,301,417 parameters.
- It multiplies every clip with the attention maps of the whole batch, summed. Here each clip has its own map, as the
  paper draws it; ``attention_scope: batch`` gives the released behaviour.
- It takes an audio step whose first channel is exactly 0 for padding. Here padding is what ``length`` says.
- It drops the ReLU of the video stem (without effect in practice); it is kept here.
- The video features are pooled over whatever size they have (the paper's size: 2x7x7), and need not be maps: over the
  tokens of `ActionUnitNet` the attention is over action units.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.audio_video import AudioVideoTask
from lightning_modules.nn.backbones import MFCCNet, VideoNetwork
from lightning_modules.nn.modality_encoders import gives_states


def sinusoidal_positions(steps: int, dim: int) -> Tensor:
    """Return fixed position vectors: sines beside cosines, positions counted from 1.

    Args:
        steps: Number of positions.
        dim: Their even length.

    Returns:
        ``(steps, dim)``.
    """
    frequencies = 10000 ** -(torch.arange(dim // 2) / max(dim // 2 - 1, 1))
    angles = torch.arange(1, steps + 1)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class AudioSelfAttention(nn.Module):
    """Causal pre-norm transformer encoder over the steps of the audio features (250,048 parameters by default).

    Args:
        dim: Channels of a step.
        steps: Number of steps; 0 where it varies.
        layers: Encoder layers.
        heads: Attention heads.
        embedding_dropout: Dropout of the input with its positions.
        dropout: Dropout of attention weights, hidden units and residual branches.
    """

    def __init__(self, dim: int, steps: int, layers: int, heads: int, embedding_dropout: float, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.dropout = nn.Dropout(embedding_dropout)
        self.scale = dim**0.5
        self.positions: Tensor
        self.future: Tensor
        self.register_buffer("positions", sinusoidal_positions(steps, dim), persistent=False)
        self.register_buffer("future", torch.ones(steps, steps, dtype=torch.bool).triu(1), persistent=False)
        for name, parameter in self.encoder.named_parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, audio: Tensor) -> Tensor:
        """Encode each step from itself and those before it.

        Args:
            audio: ``(B, S, dim)``.

        Returns:
            ``(B, S, dim)``.
        """
        positions, future = self.positions, self.future
        if len(positions) != (steps := audio.shape[1]):
            positions = sinusoidal_positions(steps, audio.shape[2]).to(audio)
            future = torch.ones(steps, steps, dtype=torch.bool, device=audio.device).triu(1)
        x = self.dropout(audio * self.scale + positions)
        encoded: Tensor = self.encoder(x, mask=future, is_causal=True)
        return encoded


class CrossModalBlock(nn.Module):
    """Weigh the places of the video features by the audio (385,345 parameters by default).

    ``score = w^T tanh(W_x x_place + W_y y_audio)``, softmax over the places (of each time step, where the features have
    time), and ``video * attention + video``.

    Args:
        video_channels: Channels of the video features.
        audio_channels: Channels of the audio features; also the size of the joint space.
        self_attention: Runs over the audio first; the audio features are taken as they are where None.
        residual: Add the video features to the weighted ones.
        attention_scope: Whether a clip is weighed by its ``sample``'s map or by the sum of its ``batch``'s maps.
    """

    def __init__(
        self,
        video_channels: int,
        audio_channels: int,
        self_attention: AudioSelfAttention | None,
        residual: bool,
        attention_scope: Literal["sample", "batch"],
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.x_affine = nn.Linear(video_channels, audio_channels)
        self.y_affine = nn.Linear(audio_channels, audio_channels, bias=False)
        self.score = nn.Linear(audio_channels, 1)
        self.residual = residual
        self.attention_scope = attention_scope

    def forward(self, video: Tensor, audio: Tensor, last: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weigh the video features.

        Args:
            video: ``(B, C, T, H, W)``, or ``(B, C, P)`` with P places without time.
            audio: ``(B, D, S)``.
            last: Index of the last valid audio step ``(B,)``.
            seen: Which of P places there are, bool ``(B, P)``; all where not given.

        Returns:
            The weighted features, shaped like ``video``, and each clip's own attention ``(B, T, H, W)``, which sums to
            1 over every time step, or ``(B, P)``.
        """
        steps = audio.transpose(1, 2)
        if self.self_attention is not None:
            steps = self.self_attention(steps)
        # Causal attention: the last valid step has seen every valid one and nothing of the padding.
        query = self.y_affine(steps[torch.arange(len(steps), device=steps.device), last])
        places = self.x_affine(video.movedim(1, -1))
        query = query.view(len(query), *[1] * (places.ndim - 2), -1)
        scores = self.score(torch.tanh(places + query)).squeeze(-1)
        if seen is not None:
            scores = scores.masked_fill(~seen & seen.any(1, keepdim=True), -torch.inf)
        competing = scores.flatten(2) if scores.ndim > 2 else scores
        attention = competing.float().softmax(-1).view(scores.shape)
        gain = attention if self.attention_scope == "sample" else attention.sum(0, keepdim=True)
        return video * (gain + float(self.residual)).unsqueeze(1), attention


class CFNSR(AudioVideoTask):
    """Video and MFCC networks fused by a cross-modal block and one linear head.

    Of two encoders the places of the first are weighed by the second, in the order they are named in.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [3, T, H, W], "audio": [n_mfcc, T]}``; linked from the data.
        video: The video network; the paper's where not given, or `ActionUnitNet`.
        audio: The audio network; the paper's where not given.
        cross_modal: Have the block; without it the features are only joined (ablation).
        self_attention: Have self-attention over the audio inside the block (ablation).
        residual: Have the block's residual (ablation).
        attention_scope: ``sample`` weighs a clip by its own attention map; ``batch`` by the sum over its batch, as the
            released code does.
        attention_layers: Layers of the self-attention.
        attention_heads: Its heads.
        embedding_dropout: Dropout of its input.
        attention_dropout: Dropout inside it.
        head_dropout: Dropout of the audio features before the head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the data lacks a modality, or its MFCCs are too short.
    """

    most = 2

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        video: VideoNetwork | None = None,
        audio: MFCCNet | None = None,
        cross_modal: bool = True,
        self_attention: bool = True,
        residual: bool = True,
        attention_scope: Literal["sample", "batch"] = "sample",
        attention_layers: int = 5,
        attention_heads: int = 8,
        embedding_dropout: float = 0.3,
        attention_dropout: float = 0.1,
        head_dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, video, audio, **kwargs)
        self.block: CrossModalBlock | None = None
        if cross_modal:
            modality = self.modalities[0]
            if self.encoders is not None and modality in self.encoders and not gives_states(self.encoders[modality]):
                raise TaskError(
                    f"model.encoders.{modality}: CFNSR weighs the places of {modality}, of which one vector has none; "
                    "take pooling none"
                )
            first, dim = self.feature_sizes
            attention = None
            if self_attention:
                if dim % attention_heads or dim % 2:
                    raise TaskError(
                        f"model.attention_heads: {attention_heads} does not divide the {dim} audio channels"
                    )
                steps = self.audio_steps if "audio" in self.networks else 0
                attention = AudioSelfAttention(
                    dim, steps, attention_layers, attention_heads, embedding_dropout, attention_dropout
                )
            self.block = CrossModalBlock(first, dim, attention, residual, attention_scope)
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(sum(self.vector_sizes), num_classes)

    def stages(self) -> Stages:
        """Return the stages: video stem and layers, audio network, block (empty in its ablation), head."""
        block: list[nn.Module | nn.Parameter] = [] if self.block is None else [self.block]
        return {**self.network_stages(), "block": block, "head": [self.head]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of clips.

        Args:
            batch: ``video`` float ``(B, 3, T, H, W)``, ``audio`` float ``(B, n_mfcc, T)``, their masks, and
                ``length["audio"]`` in MFCC frames where clips are padded.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the head reads, and, with the block,
            ``attention`` ``(B, T', H', W')`` or, over action units, ``(B, units)``.
        """
        features, aux = self.features(batch), {}
        if self.block is not None:
            (first, (video, seen)), (_, (audio, valid)) = features.items()
            audio = audio if audio.ndim == 3 else audio.unsqueeze(2)  # a vector is one step
            last = torch.full((len(audio),), audio.shape[2] - 1, device=audio.device)
            if valid is not None:
                last = (valid.sum(1) - 1).clamp_min(0)
            weighed, aux["attention"] = self.block(video, audio, last, seen)
            features[first] = weighed, seen
        one, other = self.flat(features)
        embedding = torch.cat([one, self.head_dropout(other)], dim=1)
        return {"logits": self.head(embedding), "aux": {**aux, "embedding": embedding}}
