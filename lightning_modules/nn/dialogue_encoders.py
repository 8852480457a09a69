"""Encoders of single utterances: text, speech and a short video to one embedding each.

Text: Devlin et al., "BERT", NAACL 2019, https://arxiv.org/abs/1810.04805. Speech: Baevski et al., "wav2vec 2.0",
NeurIPS 2020, https://arxiv.org/abs/2006.11477. Both are networks of transformers at base size unless told otherwise.
Video: two networks of the gated-fusion paper (see `lightning_modules.gated_fusion`), written from their layer sizes;
without pretrained weights they start from the released initial ones (`lightning_modules.nn.dialogue_weights`).

Padding never counts, whatever its length: token 0 is padding, and so are the zeros at the end of a wave. The released
code pools padding as if it were speech.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.dialogue_weights import draw_released
from lightning_modules.nn.encoders import load_weights
from lightning_modules.nn.networks.transformers_networks import load_transformers_weights, transformers_network
from lightning_modules.nn.pretrained_encoder import UtteranceEncoder
from lightning_modules.nn.state_pooling import masked_mean
from lightning_modules.nn.token_ids import attended
from lightning_modules.nn.wave_states import WaveStates


class BertText(UtteranceEncoder):
    """Embedding of token ids by BERT (108,891,648 parameters at base size).

    Args:
        config: What differs from BERT base: `transformers.BertConfig`.
        weights: A folder, or a name on the hub.
        pooling: The state of the first token, as the paper has it, or the mean of all.
    """

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        weights: str | None = None,
        pooling: Literal["cls", "mean"] = "cls",
    ) -> None:
        network: Any = transformers_network("bert", config or {})
        super().__init__(network.config.hidden_size, weights)
        self.network: nn.Module = network
        self.limit: int = network.config.max_position_embeddings
        self.vocabulary: int = network.config.vocab_size
        self.pooling = pooling

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "tokens"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of token ids, ``[L]``, no more than there are positions."""
        return len(shape) == 1 and shape[0] <= self.limit

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_transformers_weights(self.network, self.weights)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed token ids ``(N, L)``, int64, 0 = padding, to ``(N, channels)``."""
        ids, tokens = attended(ids, self.vocabulary)
        states: Tensor = self.network(input_ids=ids, attention_mask=tokens.long()).last_hidden_state
        return states[:, 0] if self.pooling == "cls" else masked_mean(states, tokens)


class Wav2Vec2Audio(UtteranceEncoder):
    """Embedding of a 16 kHz wave: the mean over time of wav2vec 2.0's last states (94,371,712 parameters at base size).

    A wave is brought to zero mean and unit variance first. Time masking and layer drop are off: the released code has
    the former on in training, without saying so.

    Args:
        config: What differs from wav2vec 2.0 base: `transformers.Wav2Vec2Config`.
        weights: A folder, or a name on the hub.
    """

    def __init__(self, config: dict[str, Any] | None = None, weights: str | None = None) -> None:
        network: Any = transformers_network("wav2vec2", config or {})
        super().__init__(network.config.hidden_size, weights)
        self.network: nn.Module = network
        self.states = WaveStates(network)
        self.norm = self.states.norm  # checkpoints have it under this name too
        self.shortest = self.states.shortest

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "wave"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of waves, ``[S]``, long enough for one state."""
        return len(shape) == 1 and shape[0] >= self.shortest

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_transformers_weights(self.network, self.weights)

    def forward(self, waves: Tensor) -> Tensor:
        """Embed waves ``(N, S)`` in [-1, 1], zeros after their end, to ``(N, channels)``."""
        output, valid = self.states(self.network, waves)
        return masked_mean(output.last_hidden_state, valid)


class VideoTransformer(UtteranceEncoder):
    """The document's "TimeSformer": attention over all patches of all frames jointly (8,596,224 parameters).

    Not the TimeSformer of Bertasius et al., whose attention is divided between space and time.

    Args:
        frames: Frames of a video, T.
        size: Side of a frame.
        patch: Side of a patch.
        dim: Size of the embedding.
        heads: Attention heads.
        layers: Layers.
        dropout: Dropout of the layers.
        weights: A checkpoint that holds this network alone.
    """

    def __init__(
        self,
        frames: int = 8,
        size: int = 224,
        patch: int = 32,
        dim: int = 384,
        heads: int = 6,
        layers: int = 4,
        dropout: float = 0.1,
        weights: str | None = None,
    ) -> None:
        super().__init__(dim, weights)
        if size % patch or dim % heads:
            raise TaskError(f"VideoTransformer: patch {patch} must divide size {size}, and heads {heads} dim {dim}")
        self.shape = [3, frames, size, size]
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.space = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, dim))
        self.time = nn.Parameter(0.02 * torch.randn(frames, dim))
        self.norm = nn.LayerNorm(dim)
        self.layers = transformer(dim, heads, layers, dropout)
        self.residual = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, dim))
        draw_released(self)
        nn.init.kaiming_normal_(self.patches.weight, mode="fan_out", nonlinearity="relu")  # as released

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "clip of pictures"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of videos, ``[3, T, H, W]``, of just that size."""
        return shape == self.shape

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_weights(self, self.weights)

    def forward(self, videos: Tensor) -> Tensor:
        """Embed normalised videos ``(N, 3, T, H, W)`` to ``(N, channels)``."""
        count, frames = videos.shape[0], videos.shape[2]
        patches = self.patches(videos.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        places = self.time[:, None] + self.space  # (T, P, D)
        tokens = self.norm((patches.unflatten(0, (count, frames)) + places).flatten(1, 2))
        pooled: Tensor = self.layers(tokens).mean(1)
        embedding: Tensor = pooled + self.residual(pooled)
        return embedding


class VideoConvNet(UtteranceEncoder):
    """The released MIMAMO model's encoder: a 3D CNN, pooled, and a transformer over that one vector.

    Attention over a single place gives every place weight 1: three of its layers are two linear maps each.

    Args:
        dim: Size of the embedding.
        heads: Attention heads.
        layers: Layers of the transformer.
        widths: Channels of the convolutions.
        weights: A checkpoint that holds this network alone.
    """

    def __init__(
        self,
        dim: int = 384,
        heads: int = 8,
        layers: int = 3,
        widths: tuple[int, int, int] = (64, 128, 256),
        weights: str | None = None,
    ) -> None:
        super().__init__(dim, weights)
        first, second, third = widths
        self.convolutions = nn.Sequential(
            nn.Conv3d(3, first, (3, 7, 7), (1, 2, 2), (1, 3, 3)),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.Conv3d(first, second, 3, padding=1),
            nn.BatchNorm3d(second),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(2),
            nn.Conv3d(second, third, 3, padding=1),
            nn.BatchNorm3d(third),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool3d((1, 7, 7)),
            nn.Flatten(),
        )
        self.linear = nn.Linear(third * 49, dim)
        self.place = nn.Parameter(0.02 * torch.randn(dim))
        self.layers = transformer(dim, heads, layers, 0.1)
        draw_released(self)

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "clip of pictures"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of videos, ``[3, T, H, W]``, of at least two frames and 16 pixels."""
        return len(shape) == 4 and shape[0] == 3 and shape[1] >= 2 and min(shape[2:]) >= 16

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_weights(self, self.weights)

    def forward(self, videos: Tensor) -> Tensor:
        """Embed normalised videos ``(N, 3, T, H, W)`` to ``(N, channels)``."""
        tokens = (self.linear(self.convolutions(videos)) + self.place).unsqueeze(1)
        embedding: Tensor = self.layers(tokens).squeeze(1)
        return embedding


def transformer(dim: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Return pre-norm transformer layers with GELU, four times as wide inside, over ``(N, T, dim)``."""
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
