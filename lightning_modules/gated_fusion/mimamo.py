"""Video and metadata that attend to each other: the network that the document of gated fusion calls MIMAMO Net.

It is not the MIMAMO-Net of Deng et al. 2020 (micro- and macro-motion of faces, https://arxiv.org/abs/1911.09784): the
name is all they share. Written from the layer sizes of the released code of
https://github.com/AbdulaAlShyed-2212592042/empathetic-detection (MIT); no code was copied.

What differs from it by default:
- The document says "TimeSformer, 4 layers, 6 heads, 384 values, patches of 32" of this network, and the released one
  has a 3D CNN. The encoder is injected: `VideoTransformer`, or `VideoConvNet` as released.
- The released metadata are one vector, repeated for every utterance: attention over equal keys gives the same answer
  whatever is asked. Here every field is a token (``metadata: tokens``).
- Padding counts for nothing; an utterance without video is not attended to.

Initial weights are drawn as released, with either form of the metadata: see `lightning_modules.nn.dialogue_weights`.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.gated_fusion.dialogue import DialogueTask, MetadataTables, last_step, recurrent, utterances
from lightning_modules.nn.dialogue_weights import draw_each_third, draw_released

RELEASED_WIDTHS = {"age": 32, "gender": 16, "timbre": 16, "id": 64}  # of the tables; all others 32


class MIMAMONet(DialogueTask):
    """The emotion of a dialogue from its videos and metadata (27,116,247 parameters as released).

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"video": [U, 3, T, H, W], "meta": [F]}``; linked from the data.
        encoders: Of ``video``; it trains with the rest. Its embedding is what attends.
        metadata: ``tokens``, one per field, or one vector, ``repeated`` for every utterance, as released.
        heads: Attention heads, of D channels in all.
        blocks: Rounds of attention.
        hidden: Units of the LSTM per direction.
        dropout: Dropout.
        freeze_encoders: Whether the encoder stays as it is.
        **kwargs: See `DialogueTask` and `EmotionTask`.

    Raises:
        TaskError: If the heads do not divide the channels.
    """

    usual: ClassVar[tuple[str, ...]] = ("video",)

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        encoders: dict[str, nn.Module],
        metadata: Literal["tokens", "repeated"] = "tokens",
        heads: int = 8,
        blocks: int = 3,
        hidden: int = 256,
        dropout: float = 0.1,
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
        dim = self.channels["video"]
        if dim % heads or 2 * hidden % heads:
            raise TaskError(f"model.heads: {heads} does not divide the {dim} channels of the video, or 2 x {hidden}")
        self.tokens = metadata == "tokens"
        kinds = {field.rpartition("_")[2] for field in self.vocabulary_sizes} | set(self.vocabulary_sizes)
        widths = dict.fromkeys(kinds, dim) if self.tokens else RELEASED_WIDTHS
        self.tables = MetadataTables(self.vocabulary_sizes, widths, shared=not self.tokens)
        self.meta = nn.Identity() if self.tokens else _normed(self.tables.width, dim, dropout, again=True)
        self.roles = nn.Embedding(3, 32)
        self.with_role = _normed(dim + 32, dim, dropout)
        self.blocks = nn.ModuleList(MutualAttention(dim, heads, dropout) for _ in range(blocks))
        self.lstm = nn.LSTM(2 * dim, hidden, 2, batch_first=True, dropout=dropout, bidirectional=True)
        self.attention = nn.MultiheadAttention(2 * hidden, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Sequential(
            _normed(2 * hidden, 512, dropout),
            _normed(512, 256, dropout),
            _normed(256, 128, dropout),
            nn.Linear(128, num_classes),
        )
        draw_released(self, leave=("encoders", "loss"))

    def stages(self) -> Stages:
        """Return the stages: encoder, metadata, roles, the rounds of attention, LSTM with its attention, classifier."""
        return {
            **self.encoder_stages(),
            "metadata": [self.tables, self.meta],
            "roles": [self.roles, self.with_role],
            **{f"attention{number}": [block] for number, block in enumerate(self.blocks, 1)},
            "lstm": [self.lstm, self.attention],
            "classifier": [self.classifier],
        }

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of dialogues.

        Args:
            batch: ``video``, raw or embedded, ``meta``, ``role``; masks and lengths.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, D)``, what the classifier reads.
        """
        length, seen = utterances(batch), self.present(batch, "video")
        video = self.with_role(torch.cat([self.embedded(batch, "video"), self.roles(batch["role"])], dim=2))
        meta = self.metadata(batch)
        padding = torch.arange(video.shape[1], device=video.device) >= length[:, None]
        if self.tokens:
            facts, unknown = torch.stack(self.tables.each(meta), dim=1), None
        else:
            facts, unknown = self.meta(self.tables(meta)).unsqueeze(1).expand_as(video), padding
        unseen = ~seen
        for block in self.blocks:
            video, facts = block(video, facts, unseen, unknown)
        if self.tokens:
            facts = facts.mean(1, keepdim=True).expand_as(video)
        states = recurrent(self.lstm, torch.cat([video, facts], dim=2), length)
        states = self.attention(states, states, states, key_padding_mask=padding, need_weights=False)[0]
        embedding = last_step(states, length)
        return {"logits": self.classifier(self.dropout(embedding)), "aux": {"embedding": embedding}}


class MutualAttention(nn.Module):
    """Two sequences attend to themselves, then to each other; the results are concatenated and added.

    ``x' = LN(x + MHA(x))``, ``y' = LN(y + MHA(y))``; ``x'' = LN(x' + f([x'; MHA(x', y')]))`` with f a linear layer, LN,
    GELU; likewise y''.

    Args:
        dim: Channels of both, D.
        heads: Attention heads.
        dropout: Dropout.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        parts = ("first", "second")
        self.itself = nn.ModuleDict({p: nn.MultiheadAttention(dim, heads, dropout, batch_first=True) for p in parts})
        other = {part: nn.MultiheadAttention(dim, heads, dropout, batch_first=True) for part in parts}
        for attention in other.values():  # the released query, key and value are separate in these alone
            draw_each_third(attention)
        self.other = nn.ModuleDict(other)
        self.join = nn.ModuleDict({p: _normed(2 * dim, dim, dropout) for p in parts})
        self.norms = nn.ModuleDict({p: nn.ModuleList(nn.LayerNorm(dim) for _ in range(2)) for p in parts})

    def forward(
        self, first: Tensor, second: Tensor, first_absent: Tensor, second_absent: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return both sequences after one round.

        Args:
            first: ``(B, T, D)``.
            second: ``(B, S, D)``.
            first_absent: Steps of the first that nobody attends to, bool ``(B, T)``; a step that has nothing to attend
                to finds nothing.
            second_absent: Those of the second, ``(B, S)``.

        Returns:
            Both, of the same shapes.
        """
        absent = {"first": first_absent, "second": second_absent}
        was = {"first": first, "second": second}
        now = {part: self._norm(part, 0, x + _attend(self.itself[part], x, x, absent[part])) for part, x in was.items()}
        result = []
        for part, rest in (("first", "second"), ("second", "first")):
            found = _attend(self.other[part], now[part], now[rest], absent[rest])
            result.append(self._norm(part, 1, now[part] + self.join[part](torch.cat([now[part], found], dim=2))))
        return result[0], result[1]

    def _norm(self, part: str, place: int, x: Tensor) -> Tensor:
        norms: Any = self.norms[part]
        normed: Tensor = norms[place](x)
        return normed


def _attend(attention: nn.Module, query: Tensor, context: Tensor, absent: Tensor | None) -> Tensor:
    if absent is None:
        whole: Tensor = attention(query, context, context, need_weights=False)[0]
        return whole
    nothing = absent.all(1)
    mask = absent & ~nothing[:, None]  # a row that is masked whole is not a number
    found: Tensor = attention(query, context, context, key_padding_mask=mask, need_weights=False)[0]
    return found.masked_fill(nothing[:, None, None], 0)


def _normed(before: int, after: int, dropout: float, again: bool = False) -> nn.Sequential:
    """Return the layers: linear, LayerNorm, GELU, dropout; twice where ``again``."""
    layers = [nn.Linear(before, after), nn.LayerNorm(after), nn.GELU(), nn.Dropout(dropout)]
    if again:
        layers += [nn.Linear(after, after), nn.LayerNorm(after), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
