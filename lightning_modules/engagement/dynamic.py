"""Uni-modal engagement: two attention layers over a window of frames, weighed over time, and a small head.

Dresvyanskiy, Karpov, Minker, "A Cross-Multi-Modal Fusion Approach for Enhanced Engagement Recognition", SPECOM 2024,
https://openreview.net/forum?id=hzOQYdzfyg; released code
https://github.com/icmi-2024-cross-multi-modal/icmi-cross-multi-modal, earlier code
https://github.com/DresvyanskiyDenis/EngagementRecognition. Written from the description; no code was copied.

What differs from the released code:
- Every layer of theirs carries a LayerNorm of 512 parameters that it never uses; it is left out. 823,084 parameters
  over the embeddings of 40 frames, theirs 824,108.
- The extractor inside is frozen: theirs keeps its BatchNorm statistics moving. Trainable, as one stage, on request.
- Any modality by name; the affective model, which the paper draws, has none of its own in the release.
- A batch of one window works, in training too.
"""

from typing import Any

from torch import nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.inputs import kind_of, several
from lightning_modules.nn.layers import AttentionLayer, BatchNorm
from lightning_modules.nn.modality_encoders import keep_plain
from lightning_modules.nn.windows import WindowTask


class UnimodalDynamic(WindowTask):
    """The engagement of a window from one modality.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{modality: [T, D]}`` embeddings, or ``[T, 3, S, S]`` images or ``[T, 17, 3]`` joints; linked
            from the data. T is part of the model: the weights over time are learned.
        modality: Which one: ``face``, ``kinesics``, ``affect``.
        encoder: Makes a frame's embedding where the data hand over raw frames; it fits the checkpoint of a static
            model, ``init_from: {encoder: static.ckpt}``.
        freeze_encoder: Keep it as it is: eval mode, no gradients, and embeddings that may be made once and kept. One
            with an option ``freeze`` says so itself.
        encoders: The encoder, by modality, in place of ``encoder``.
        layers: Attention layers.
        heads: Heads of each.
        dropout: Dropout of the layers and before the head.
        hidden: Units before the head.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the modality is not in the data or is raw without an encoder, or the heads do not divide the
            embedding.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        modality: str = "face",
        encoder: nn.Module | None = None,
        freeze_encoder: bool = True,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.2,
        hidden: int = 128,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        keep_plain(self, encoders)
        if unknown := set(encoders or {}) - {modality}:
            raise TaskError(
                f"model.encoders.{min(unknown)}: UnimodalDynamic reads {modality} alone; name that, or another "
                "model.modality"
            )
        self.modality = modality
        self.freeze_encoders = freeze_encoder
        self.encoder = (encoders or {}).get(modality, encoder)
        self.hold_encoders()
        size = self.embedding_size(modality)
        self.layers = nn.ModuleList(AttentionLayer(size, heads, dropout) for _ in range(layers))
        self.weighting = nn.Conv1d(input_shapes[modality][0], 1, 1)
        self.hidden = nn.Sequential(nn.Linear(size, hidden), BatchNorm(hidden), nn.Tanh(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden, num_classes)

    @classmethod
    def reads(cls, encoder: Any = None, modality: str = "face", encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        encoder = (encoders or {}).get(modality, encoder)
        return {modality: several("window", kind_of(encoder) if encoder else "vector")}

    def frame_encoders(self) -> dict[str, nn.Module]:
        """Return the encoder, where there is one."""
        return {} if self.encoder is None else {self.modality: self.encoder}

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Fill the encoder, then what else checkpoints hold.

        Args:
            checkpoints: Path by submodule, or by the modality of the encoder.
        """
        super().start_from(self.fill_encoders(checkpoints))

    def stages(self) -> Stages:
        """Return the stages: encoder (may be empty), attention layers, weights over time, hidden layer, head."""
        layers: Stages = {f"attention{depth}": [layer] for depth, layer in enumerate(self.layers, 1)}
        return {
            **self.encoder_stages("encoder"),
            **layers,
            "weighting": [self.weighting],
            "hidden": [self.hidden],
            "head": [self.head],
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of windows.

        Args:
            batch: The modality as float ``(B, T, D)``, or raw as the encoder takes it with T after B; its mask.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, hidden)``, what the head reads.
        """
        x = self.embedded(batch, self.modality)
        for layer in self.layers:
            x = layer(x, x)
        embedding = self.hidden(self.weighting(x).squeeze(1))
        return {"logits": self.head(embedding), "aux": {"embedding": embedding}}
