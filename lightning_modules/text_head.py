"""A small head over a frozen sentence encoder: the emotion of a conversation from its text only.

It is from no paper: the text branch of the gated fusion system (docs/papers.md) over a published sentence encoder,
measured on real text.
"""

from typing import Any

from torch import Tensor, nn

from lightning_modules.base import Batch, EmotionTask, Stages
from lightning_modules.nn.sentence_encoder import SentenceEncoder


class TextHead(EmotionTask):
    """Dropout, optionally a hidden layer, and one linear layer over sentence embeddings.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"text": [L]}``; linked from the data.
        encoder: Maps token ids ``(N, L)`` to ``(N, dim)``; it never trains.
        hidden: Units of a hidden layer; 0 for none.
        dropout: Dropout in front of every linear layer.
        **kwargs: What every task takes.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoder: SentenceEncoder,
        hidden: int = 0,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.encoder = encoder.requires_grad_(False).eval()
        width = encoder.dim
        layers: list[nn.Module] = []
        if hidden:
            layers = [nn.Dropout(dropout), nn.Linear(width, hidden), nn.GELU()]
            width = hidden
        self.head = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(width, num_classes))
        self.scale = encoder.dim**0.5  # embeddings of length 1 have values of variance 1 / dim

    @classmethod
    def reads(cls, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return {"text": "tokens"}

    def stages(self) -> Stages:
        """Return the stages: encoder, head."""
        return {"encoder": [self.encoder], "head": [self.head]}

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the sentence encoder, under ``text``."""
        return {"text": self.encoder}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score texts: ids ``(B, L)`` or embeddings ``(B, D)``."""
        text: Tensor = self.observed(batch, "text")
        embedded = text if text.is_floating_point() else self.encoder(text)
        return {"logits": self.head(embedded * self.scale), "aux": {"embedding": embedded}}
