"""Encoders that are any network of transformers with hidden states: of pictures, clips of pictures and text.

That of sound is in `lightning_modules.nn.hf_audio`. Pictures: ViT, CLIP, SigLIP, DINOv2 and their kin.
Clips: VideoMAE and its kin. Text: BERT, RoBERTa, DeBERTa, MiniLM and their kin. What a network wants of its input (rate
of waves, size and statistics of pictures) is read from the files beside its weights.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError
from lightning_modules.nn.networks.layer_groups import transformer_stages
from lightning_modules.nn.networks.transformers_networks import (
    PROCESSOR,
    any_transformers_network,
    load_transformers_weights,
    processor_of,
    read_settings,
)
from lightning_modules.nn.pretrained_encoder import Freeze, PictureEncoder, PretrainedEncoder, StillEncoder
from lightning_modules.nn.state_pooling import Pooling, StatePooling, StateWeights
from lightning_modules.nn.token_ids import attended

Layer = int | Literal["weighted"]


class HFEncoder(PretrainedEncoder):
    """A network of transformers, the layer that is read, and how its states are pooled.

    Args:
        weights: A folder that transformers saved, ``package:NAME/FOLDER``, or a name on the Hugging Face hub.
        config: The network's settings, as ``config.json`` has them; read from beside the weights where not given.
        processor: Settings of its input, as ``preprocessor_config.json`` has them; likewise.
        layer: Which hidden states: -1 the network's output, 0 its embedded input, or ``weighted``, a learned mean.
        pooling: How states become one vector: see `StatePooling`. ``none`` hands over all of them.
        freeze: What does not train: see `LayerGroups`.

    Raises:
        TaskError: If neither weights nor a config are given, or transformers cannot build the network.
    """

    part: ClassVar[Literal["audio", "vision", "text"]]
    pool: StatePooling
    layer_weights: StateWeights | None

    def __init__(
        self,
        weights: str | None = None,
        config: dict[str, Any] | None = None,
        processor: dict[str, Any] | None = None,
        layer: Layer = -1,
        pooling: Pooling = "mean",
        freeze: Freeze = "all",
    ) -> None:
        super().__init__(weights)
        name = type(self).__name__
        if weights is None and config is None:
            raise TaskError(f"{name}: name a folder or the hub's name of a network in `weights`, or give its `config`")
        settings = config or read_settings(weights or "")
        if settings is None:
            raise TaskError(f"{name}: weights: {weights} holds no config.json; name a folder that transformers saved")
        found = processor if processor is not None or weights is None else read_settings(weights, PROCESSOR)
        self.kind: str = settings.get("model_type", "")
        self.settings = found or {}
        self.resolved = {"config": settings, "processor": self.settings}
        network: Any = any_transformers_network(settings, self.part)
        self.network: nn.Module = network
        size, layers = network.config.hidden_size, network.config.num_hidden_layers
        if isinstance(layer, int) and not -1 <= layer <= layers:
            raise TaskError(f"{name}: layer {layer}; the network has layers 0 to {layers}, -1 is its output")
        self.layer = layer
        self.pooling = pooling
        pool = StatePooling(pooling, size)
        mixed = StateWeights(layers + 1) if layer == "weighted" else None
        self.set_groups(transformer_stages(network), freeze, {"layer_weights": mixed, "pool": pool})
        self.channels = pool.channels

    def load_pretrained(self) -> None:
        """Load ``weights``; without any the network starts from scratch."""
        if self.weights is not None:
            load_transformers_weights(self.network, self.weights)

    def asked(self) -> dict[str, Any]:
        """Return what the network is asked for besides its output."""
        return {} if self.layer == -1 else {"output_hidden_states": True}

    def pooled(self, output: Any, valid: Tensor | None = None) -> Tensor:
        """Return the embedding of what the network said.

        Args:
            output: Of the network.
            valid: Which of its states count, bool ``(N, T)``; all where None.
        """
        if self.layer == -1:
            states = output.last_hidden_state
        elif isinstance(self.layer, int):
            states = output.hidden_states[self.layer]
        else:
            assert self.layer_weights is not None
            states = self.layer_weights(output.hidden_states)
        if valid is None:
            valid = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        embedding: Tensor = self.pool(states, valid)
        return embedding


class HFImage(HFEncoder, StillEncoder):
    """Embedding of a picture, or of a clip of them frame by frame, by a network of transformers (ViT, CLIP, ...)."""

    part = "vision"

    def __init__(self, weights: str | None = None, **kwargs: Any) -> None:
        super().__init__(weights, **kwargs)
        self.processor = picture_processor(self.kind, self.settings, self.network)

    def embed(self, pictures: Tensor) -> Tensor:
        """Return embeddings ``(N, channels)`` of pictures ``(N, 3, H, W)``."""
        values = processed(self.processor, self.pixels(pictures))
        with self.grad():
            output = self.network(values, **self.asked())
        return self.pooled(output)


class HFVideo(HFEncoder, PictureEncoder):
    """Embedding of a clip of pictures by a network of transformers that sees them together (VideoMAE, ViViT, ...).

    It sees as many frames as it was made for, spread evenly over the clip.
    """

    part = "vision"

    def __init__(self, weights: str | None = None, **kwargs: Any) -> None:
        super().__init__(weights, **kwargs)
        self.processor = picture_processor(self.kind, self.settings, self.network)
        frames = getattr(self.network.config, "num_frames", None)
        if not isinstance(frames, int):
            raise TaskError(f"HFVideo reads networks of a number of frames; {self.kind} is none: take HFImage")
        self.frames = frames

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "clip of pictures"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of a clip of pictures, ``[3, T, H, W]``."""
        return len(shape) == 4 and shape[0] == 3 and min(shape) > 0

    def forward(self, clips: Tensor) -> Tensor:
        """Embed clips ``(N, 3, T, H, W)`` to ``(N, channels)``."""
        chosen = torch.linspace(0, clips.shape[2] - 1, self.frames).round().long()
        frames = clips[:, :, chosen.to(clips.device)].transpose(1, 2)
        values = processed(self.processor, self.pixels(frames.flatten(0, 1)))
        with self.grad():
            output = self.network(values.view(*frames.shape[:2], *values.shape[1:]), **self.asked())
        return self.pooled(output)


def picture_processor(kind: str, settings: dict[str, Any], network: nn.Module) -> Any:
    """Return what transformers makes of pictures for a network; without settings at the network's own size."""
    size: Any = getattr(network.config, "image_size", None)
    if not settings and isinstance(size, int):
        settings = {"size": {"height": size, "width": size}, "do_center_crop": False}
    return processor_of("vision", kind, settings)


def processed(made: Any, pixels: Tensor) -> Tensor:
    """Return pixels ``(N, 3, H, W)`` between 0 and 1 in the size and with the statistics of a processor."""
    values: Tensor = made(images=pixels, do_rescale=False, return_tensors="pt")["pixel_values"]
    return values.reshape(len(pixels), *values.shape[-3:])


class HFText(HFEncoder):
    """Embedding of token ids by a network of transformers (BERT, RoBERTa, DeBERTa, MiniLM, ...).

    0 is padding, as the data have it: of a network that pads with another id, the data have the two changed over.
    """

    part = "text"

    def __init__(
        self,
        weights: str | None = None,
        config: dict[str, Any] | None = None,
        processor: dict[str, Any] | None = None,
        layer: Layer = -1,
        pooling: Pooling = "mean",
        freeze: Freeze = "all",
    ) -> None:
        super().__init__(weights, config, processor or {}, layer, pooling, freeze)
        config_of: Any = self.network.config
        self.vocabulary: int = config_of.vocab_size
        self.padding: int = getattr(config_of, "pad_token_id", None) or 0
        positions = getattr(config_of, "max_position_embeddings", None)
        # Networks that pad with another id count their positions from behind it.
        self.limit = positions - (self.padding + 1 if self.padding else 0) if positions else None

    @classmethod
    def kind_read(cls, **options: Any) -> str:
        """Return the kind of input."""
        return "tokens"

    def accepts(self, shape: list[int]) -> bool:
        """Return whether the shape is that of token ids, ``[L]``, no more than there are positions."""
        return len(shape) == 1 and (self.limit is None or shape[0] <= self.limit)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed token ids ``(N, L)``, int64, 0 = padding, to ``(N, channels)``."""
        ids, tokens = attended(ids, self.vocabulary)
        if self.padding:
            swapped = torch.where(ids == self.padding, 0, ids)
            ids = torch.where(ids == 0, self.padding, swapped)
        with self.grad():
            output = self.network(input_ids=ids, attention_mask=tokens.long(), **self.asked())
        return self.pooled(output, tokens)
