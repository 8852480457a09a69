"""A small head over a frozen sentence encoder: the emotion of a conversation from its text only.

It is from no paper: the text branch of the gated fusion system (docs/papers.md) over a published sentence encoder,
measured on real text.
"""

from typing import Any

from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.modality_encoders import EncodedTask, kinds_read
from lightning_modules.nn.sentence_encoder import SentenceEncoder


class TextHead(EncodedTask):
    """Dropout, optionally a hidden layer, and one linear layer over sentence embeddings.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"text": [L]}``; linked from the data.
        encoder: Maps token ids ``(N, L)`` to ``(N, dim)``; it never trains.
        encoders: In its place, an encoder of one modality of any name.
        hidden: Units of a hidden layer; 0 for none.
        dropout: Dropout in front of every linear layer.
        **kwargs: What every task takes.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoder: SentenceEncoder | None = None,
        hidden: int = 0,
        dropout: float = 0.1,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        self.take_encoders(encoders, fewest=1, most=1)
        if self.encoders is not None:
            (width,), self.scale = self.encoders.channels.values(), 1.0
        elif encoder is None:
            raise TaskError("TextHead: name model.encoder, a SentenceEncoder, or one of model.encoders")
        else:
            self.encoder = encoder.requires_grad_(False).eval()
            width, self.scale = encoder.dim, encoder.dim**0.5  # of length 1: their values have the variance 1 / dim
        layers: list[nn.Module] = []
        if hidden:
            layers = [nn.Dropout(dropout), nn.Linear(width, hidden), nn.GELU()]
            width = hidden
        self.head = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(width, num_classes))

    @classmethod
    def reads(cls, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        return kinds_read(encoders) or {"text": "tokens"}

    def stages(self) -> Stages:
        """Return the stages: encoder, head."""
        encoder = self.encoders.stages() if self.encoders is not None else {"encoder": [self.encoder]}
        return {**encoder, "head": [self.head]}

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the sentence encoder, under ``text``, or another one of which nothing trains."""
        return super().frozen_encoders() if self.encoders is not None else {"text": self.encoder}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score texts: ids ``(B, L)`` or embeddings ``(B, D)``."""
        if self.encoders is not None:
            (embedded,) = self.encoders.encode(self, batch).values()
        else:
            text: Tensor = self.observed(batch, "text")
            embedded = text if text.is_floating_point() else self.encoder(text)
        return {"logits": self.head(embedded * self.scale), "aux": {"embedding": embedded}}
