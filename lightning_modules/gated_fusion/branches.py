"""The branches that gated fusion is compared with: audio and text with metadata, video with metadata.

From the document of `lightning_modules.gated_fusion` and the released code of the same repository (MIT), written from
their layer sizes; no code was copied. ``variant: document`` is what the text means, ``variant: released`` has the
layers that were run, parameter for parameter; in both padding counts for nothing, in neither is the answer of the
listener or anything the label was made of an input. The released sizes with the released 41,505 rows of vocabulary are
those of `MetadataTables` with as many rows.

What the documents call MIMAMO Net is not the MIMAMO-Net of Deng et al. 2020 (micro- and macro-motion,
https://arxiv.org/abs/1911.09784): the name is all they share.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.dialogue import DialogueTask, MetadataTables, last_step, recurrent, utterances
from lightning_modules.nn.dialogue_weights import draw_released
from lightning_modules.nn.layers import BatchNorm

Variant = Literal["document", "released"]
RELEASED_WIDTHS = {"age": 16, "gender": 8, "timbre": 8}  # of the tables; all others 32
ROLES = 3


class AudioTextMetadata(DialogueTask):
    """Audio, text and metadata of every utterance through an LSTM.

    ``document``: ``x_t = [a_t; t_t; m]`` (768 + 768 + 256), one LSTM layer of 512, its last valid step, two linear
    layers: 4,988,935 parameters beside the metadata and the encoders. ``released``: text, narrowed audio and role
    through two bidirectional layers and attention, the context and the metadata beside it, with torch's own initial
    weights throughout.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"text": [U, L], "audio": [U, S], "meta": [F]}``, ``context`` ``[L']`` for the released variant;
            linked from the data.
        encoders: Of ``text`` and ``audio``.
        variant: Which.
        hidden: Units of the LSTM; 512 in the document, 256 per direction in the released code.
        metadata_dim: Size of the document's metadata embedding.
        dropout: Dropout; the document's 0.3, the released code has 0.2.
        **kwargs: See `DialogueTask` and `EmotionTask`.
    """

    usual: ClassVar[tuple[str, ...]] = ("text", "audio")

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        variant: Variant = "document",
        hidden: int | None = None,
        metadata_dim: int = 256,
        dropout: float = 0.3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, modalities=["text", "audio"], encoders=encoders, **kwargs)
        if variant == "released" and "context" not in input_shapes:
            raise TaskError("model.variant: the released variant reads the context, which the data lack")
        self.variant = variant
        text, audio = self.channels["text"], self.channels["audio"]
        self.dropout = nn.Dropout(dropout)
        if variant == "document":
            units = hidden or 512
            tables = MetadataTables(self.vocabulary_sizes)
            self.meta = nn.Sequential(tables, nn.Linear(tables.width, metadata_dim))
            self.lstm = nn.LSTM(text + audio + metadata_dim, units, batch_first=True)
            self.classifier = _layers([units, units, num_classes], dropout=0.0)
            return
        units = hidden or 256
        tables = MetadataTables(self.vocabulary_sizes, RELEASED_WIDTHS, shared=True, deviation=1.0)
        self.meta = nn.Sequential(tables, *_layers([tables.width, 128, 64], dropout))
        self.context = nn.Linear(text, 256)
        self.narrow = _layers([audio, 512, 256], dropout, last=True)
        self.roles = nn.Embedding(ROLES, 16)
        self.lstm = nn.LSTM(text + 256 + 16, units, 2, batch_first=True, dropout=dropout, bidirectional=True)
        self.attention = nn.MultiheadAttention(2 * units, 8, dropout, batch_first=True)
        self.classifier = _layers([256 + 2 * units + 64, 512, 256, num_classes], dropout)

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders of text and audio; the released variant's context goes through that of text."""
        found = super().frozen_encoders()
        return {**found, "context": found["text"]} if "text" in found and self.variant == "released" else found

    def parts_read(self) -> set[str]:
        """Return the parts: the listener, and in the released variant the context."""
        return {"listener", "context"} if self.variant == "released" else {"listener"}

    def stages(self) -> Stages:
        """Return the stages: encoders, metadata, the layers before the LSTM, the LSTM, its attention, classifier."""
        before: list[nn.Module | nn.Parameter] = []
        attention: list[nn.Module | nn.Parameter] = []
        if self.variant == "released":
            before, attention = [self.context, self.narrow, self.roles], [self.attention]
        stages: Stages = {"metadata": [self.meta], "input": before, "lstm": [self.lstm], "attention": attention}
        return {**self.encoder_stages(), **stages, "classifier": [self.classifier]}

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: ``text`` and ``audio``, raw or embedded, ``meta``, ``role``; masks and lengths.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the classifier reads.
        """
        text, audio, length = self.embedded(batch, "text"), self.embedded(batch, "audio"), utterances(batch)
        m = self.meta(self.metadata(batch))
        if self.variant == "document":
            steps = torch.cat([audio, text, m.unsqueeze(1).expand(-1, text.shape[1], -1)], dim=2)
            embedding = last_step(self.lstm(steps)[0], length)  # one direction: what follows does not come in
        else:
            steps = torch.cat([text, self.narrow(audio), self.roles(batch["role"])], dim=2)
            states = _attended(self.attention, recurrent(self.lstm, steps, length), length)
            embedding = torch.cat([self.context(self._context(batch)), last_step(states, length), m], dim=1)
        return {"logits": self.classifier(self.dropout(embedding)), "aux": {"embedding": embedding}}

    def _context(self, batch: Batch) -> Tensor:
        there = batch["mask"].get("context", batch["mask"].get("text"))
        if there is None:
            there = torch.ones(len(batch["context"]), dtype=torch.bool, device=batch["context"].device)
        values = batch["context"].unsqueeze(1)
        return self._encode(values, there.unsqueeze(1), "text").squeeze(1)


class VideoMetadata(DialogueTask):
    """Video and metadata as in the released video-only model (20,656,511 parameters with the released vocabularies).

    Its "cross-modal attention" has one token, and so weight 1: two linear maps. BatchNorm takes its running statistics
    for a batch of one. Initial weights are drawn as released (`draw_released`). The released encoder has a dropout of
    0.3 too: an option of `VideoTransformer`, where it is 0.1.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [U, 3, T, H, W], "meta": [F]}``; linked from the data.
        encoders: Of ``video``: `VideoTransformer`, which trains with the rest.
        hidden: Units of the LSTMs per direction.
        dropout: Dropout.
        freeze_encoders: Whether the encoder stays as it is.
        **kwargs: See `DialogueTask` and `EmotionTask`.
    """

    usual: ClassVar[tuple[str, ...]] = ("video",)

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        hidden: int = 256,
        dropout: float = 0.3,
        freeze_encoders: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_classes,
            input_shapes,
            modalities=["video"],
            encoders=encoders,
            freeze_encoders=freeze_encoders,
            **kwargs,
        )
        dim, final = self.channels["video"], 2 * hidden + 64
        self.tables = MetadataTables(self.vocabulary_sizes, RELEASED_WIDTHS, shared=True)
        self.roles = nn.Embedding(ROLES, 16)
        self.with_role = _layers([dim + 16, dim], dropout, nn.LayerNorm, nn.GELU, last=True)
        self.lstm = nn.LSTM(dim, hidden, 2, batch_first=True, dropout=dropout, bidirectional=True)
        self.attention = nn.MultiheadAttention(2 * hidden, 8, dropout, batch_first=True)
        self.meta_steps = _layers([self.tables.width, hidden], dropout, nn.LayerNorm, nn.GELU, last=True)
        self.fusion = nn.LSTM(3 * hidden, hidden, 2, batch_first=True, dropout=dropout, bidirectional=True)
        self.fusion_attention = nn.MultiheadAttention(2 * hidden, 8, dropout, batch_first=True)
        self.meta = _layers([self.tables.width, 128, 64], dropout, BatchNorm, nn.GELU, last=True)
        self.self_attention = nn.MultiheadAttention(final, 8, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = _layers([final, 512, 256, 128, num_classes], dropout, BatchNorm, nn.GELU)
        draw_released(self, leave=("encoders", "loss"))

    def stages(self) -> Stages:
        """Return the stages: encoder, metadata, the LSTM of the video, that of both, classifier."""
        return {
            **self.encoder_stages(),
            "metadata": [self.tables, self.meta_steps, self.meta],
            "video": [self.roles, self.with_role, self.lstm, self.attention],
            "fusion": [self.fusion, self.fusion_attention],
            "classifier": [self.self_attention, self.classifier],
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: ``video``, raw or embedded, ``meta``, ``role``; masks and lengths.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the classifier reads.
        """
        video, length = self.embedded(batch, "video"), utterances(batch)
        facts = self.tables(self.metadata(batch))
        steps = self.with_role(torch.cat([video, self.roles(batch["role"])], dim=2))
        states = _attended(self.attention, recurrent(self.lstm, steps, length), length)
        tiled = self.meta_steps(facts).unsqueeze(1).expand(-1, states.shape[1], -1)
        states = recurrent(self.fusion, torch.cat([states, tiled], dim=2), length)
        last = last_step(_attended(self.fusion_attention, states, length), length)
        joined = torch.cat([last, self.meta(facts)], dim=1).unsqueeze(1)
        embedding = self.self_attention(joined, joined, joined, need_weights=False)[0].squeeze(1)
        return {"logits": self.classifier(self.dropout(embedding)), "aux": {"embedding": embedding}}


def _layers(
    sizes: list[int],
    dropout: float,
    norm: type[nn.Module] | None = None,
    activation: type[nn.Module] = nn.ReLU,
    last: bool = False,
) -> nn.Sequential:
    """Return linear layers with norm, activation and dropout after each but the last; after that too where ``last``."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(sizes), start=2):
        layers.append(nn.Linear(before, after))
        if place < len(sizes) or last:
            layers += [norm(after)] if norm else []
            layers += [activation(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def _attended(attention: nn.MultiheadAttention, states: Tensor, length: Tensor) -> Tensor:
    """Return the self-attention over the valid steps of ``(B, U, D)``."""
    padding = torch.arange(states.shape[1], device=states.device) >= length[:, None]
    result: Tensor = attention(states, states, states, key_padding_mask=padding, need_weights=False)[0]
    return result
