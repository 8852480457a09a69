"""Cross-multi-modal engagement: the modalities of a window attend to each other, are pooled over time and joined.

Dresvyanskiy, Karpov, Minker, "A Cross-Multi-Modal Fusion Approach for Enhanced Engagement Recognition", SPECOM 2024,
https://openreview.net/forum?id=hzOQYdzfyg; released code
https://github.com/icmi-2024-cross-multi-modal/icmi-cross-multi-modal, earlier code
https://github.com/DresvyanskiyDenis/EngagementRecognition. Written from the description; no code was copied.

What differs from the released code:
- Every layer of theirs carries a LayerNorm of two parameters per channel that it never uses; it is left out.
  Parameters, theirs in brackets: pair 1,710,851 (1,712,899); v1, the published one of three modalities, 5,524,995
  (5,531,139); the unpublished v2 1,842,691 (1,844,739), v3 7,481,859 (7,484,931), v4 3,813,379 (3,816,963), v5
  3,026,947 (3,030,531).
- One class: what attends to what is a table, `WIRINGS`.
- A window may lack a modality. Its stream is then zero from the first layer to the pooled features, and nobody attends
  to it. In v2, v4 and v5 the third modality only informs the other two: where both are missing it has nobody to inform.
- A batch of one window works, in training too.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.errors import TaskError
from lightning_modules.nn.inputs import kind_of, several
from lightning_modules.nn.layers import AttentionLayer, BatchNorm, Positions
from lightning_modules.nn.modality_encoders import keep_plain
from lightning_modules.nn.windows import WindowTask


class Step(NamedTuple):
    """One layer of a wiring.

    Streams have names; those of the modalities are ``x``, ``y`` and ``z``. ``a+b`` is two streams, channel beside
    channel.

    Attributes:
        output: The stream that the result becomes.
        query: The stream that attends.
        context: The one it attends to; without one the step only adds positions.
        positions: Have the layer add positions to both.
    """

    output: str
    query: str
    context: str = ""
    positions: bool = True

    @property
    def inputs(self) -> list[str]:
        """The streams that it reads."""
        return [stream for side in (self.query, self.context) if side for stream in side.split("+")]


class Wiring(NamedTuple):
    """The wiring: which stream attends to which, and how the results are joined.

    Attributes:
        modalities: How many.
        steps: In order.
        joined: The streams whose mean and maximum over time the head reads.
        heads: Attention heads of every layer.
        hidden: Units before the head.
        activation: Of those units.
        dropout: Before them.
        own: The side of a layer whose stream the result goes on: where that is missing, so is the result.
    """

    modalities: int
    steps: tuple[Step, ...]
    joined: tuple[str, ...]
    heads: int
    hidden: int
    activation: type[nn.Module]
    dropout: float = 0.0
    own: Literal["query", "context"] = "query"


_PAIR = (Step("x", "y", "x"), Step("y", "x", "y"))
_EVERY_PAIR = tuple(Step(a + b, a, b) for a, b in permutations("xyz", 2))
_EVERY_TRIPLE = tuple(Step(a + b + c, a + b, c) for a, b, c in permutations("xyz"))
_ITSELF = tuple(Step(a, a, a) for a in "xyz")
_WITH_THIRD = (Step("xz", "x", "z"), Step("yz", "y", "z"))
_EACH_OTHER = (Step("xzyz", "xz", "yz"), Step("yzxz", "yz", "xz"))
_PLACED = (Step("xz", "xz"), Step("yz", "yz"))

WIRINGS = {
    "pair": Wiring(2, _PAIR + _PAIR, ("x", "y"), 64, 128, nn.ReLU, own="context"),
    "v1": Wiring(3, _EVERY_PAIR + _EVERY_TRIPLE, tuple(step.output for step in _EVERY_TRIPLE), 8, 256, nn.ReLU),
    "v2": Wiring(3, _WITH_THIRD + _EACH_OTHER, ("xzyz", "yzxz"), 8, 256, nn.Tanh),
    "v3": Wiring(
        3, (Step("all", "x+y+z", "x+y+z"), Step("all", "all", "all")), ("all",), 32, 256, nn.Tanh, dropout=0.1
    ),
    "v4": Wiring(
        3, _ITSELF + _WITH_THIRD + _PLACED + (Step("all", "xz+yz", "xz+yz", False),), ("all",), 8, 256, nn.Tanh
    ),
    "v5": Wiring(3, _ITSELF + _WITH_THIRD + _EACH_OTHER, ("xzyz", "yzxz"), 8, 256, nn.Tanh),
}


class CrossMultiModalEngagement(WindowTask):
    """The engagement of a window from two or three modalities; any number of steps.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{modality: [T, D]}`` embeddings, or ``[T, 3, S, S]`` images or ``[T, 17, 3]`` joints; linked
            from the data.
        modalities: Two or three; their order matters. The paper has face, kinesics, affect, and the pairs affect,
            face; affect, kinesics; kinesics, face.
        wiring: A key of `WIRINGS`; ``pair`` for two modalities and ``v1`` for three where not given.
        heads: Heads of every layer instead of the wiring's.
        dropout: Dropout of the layers.
        encoders: Make a frame's embedding, by modality, where the data hand over raw frames. They are frozen, unless
            they have an option ``freeze`` that says otherwise, and fit the checkpoints of the static models,
            ``init_from: {face: static.ckpt, ...}``. Those of modalities that are not read are left out.
        dim: Width that embeddings are projected to, which then may differ in size; as they are where not given.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If the wiring is of another number of modalities, a modality is not in the data or is raw without an
            encoder, or the embeddings differ in size.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        modalities: list[str],
        wiring: Literal["pair", "v1", "v2", "v3", "v4", "v5"] | None = None,
        heads: int | None = None,
        dropout: float = 0.1,
        encoders: dict[str, nn.Module] | None = None,
        dim: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        keep_plain(self, encoders)
        kind = wiring or ("pair" if len(modalities) == 2 else "v1")
        self.wiring = WIRINGS[kind]
        if len(modalities) != self.wiring.modalities:
            known = ", ".join(modalities)
            raise TaskError(
                f"model.modalities: {kind} is a wiring of {self.wiring.modalities} modalities, not of {known}"
            )
        self.modalities = modalities
        self.encoders = nn.ModuleDict({name: of for name, of in (encoders or {}).items() if name in modalities})
        self.hold_encoders()
        sizes = {modality: self.embedding_size(modality) for modality in modalities}
        if dim is None and len(set(sizes.values())) > 1:
            found = ", ".join(f"{size} of {modality}" for modality, size in sizes.items())
            raise TaskError(f"{type(self).__name__}: the embeddings differ in size: {found}; give a --model.dim")
        self.projections = nn.ModuleDict()
        if dim is not None:
            self.projections.update({modality: nn.Linear(size, dim) for modality, size in sizes.items()})
            sizes = dict.fromkeys(modalities, dim)
        channels = dict(zip("xyz", sizes.values(), strict=False))
        self.layers = nn.ModuleList()
        for step in self.wiring.steps:
            size = channels[step.output] = sum(channels[stream] for stream in step.query.split("+"))
            layer = AttentionLayer(size, heads or self.wiring.heads, dropout, step.positions)
            self.layers.append(layer if step.context else Positions())
        joined = 2 * sum(channels[stream] for stream in self.wiring.joined)
        self.hidden = nn.Sequential(
            nn.Dropout(self.wiring.dropout),
            nn.Linear(joined, self.wiring.hidden),
            BatchNorm(self.wiring.hidden),
            self.wiring.activation(),
        )
        self.head = nn.Linear(self.wiring.hidden, num_classes)

    @classmethod
    def reads(cls, modalities: Sequence[str] = (), encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        given = encoders or {}
        return {name: several("window", kind_of(given[name]) if name in given else "vector") for name in modalities}

    def frame_encoders(self) -> dict[str, nn.Module]:
        """Return the encoders by modality."""
        return dict(self.encoders.items())

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Fill encoders; checkpoints of modalities that are not read are left alone.

        Args:
            checkpoints: Path by modality.
        """
        self.fill_encoders(checkpoints)

    def stages(self) -> Stages:
        """Return the stages: encoders (may be empty), layers by their distance from the input, hidden layer, head."""
        stages = self.encoder_stages("encoders")
        if self.projections:
            stages["projections"] = [self.projections]
        depths: dict[str, int] = {}
        for step, layer in zip(self.wiring.steps, self.layers, strict=True):
            depth = max(depths.get(stream, 0) for stream in step.inputs) + bool(step.context)
            depths[step.output] = depth
            stages.setdefault(f"attention{depth}", []).append(layer)
        return {**stages, "hidden": [self.hidden], "head": [self.head]}

    def _projected(self, batch: Batch, modality: str) -> Tensor:
        values = self.embedded(batch, modality)
        if not self.projections:
            return values
        return self.observed({**batch, modality: self.projections[modality](values)}, modality)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch of windows.

        Args:
            batch: Every modality as float ``(B, T, D)``, or raw as its encoder takes it with T after B; their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding`` ``(B, 2 D')``, the streams' means and maxima over time.
        """
        named = dict(zip("xyz", self.modalities, strict=False))
        streams = {name: self._projected(batch, modality) for name, modality in named.items()}
        present = {name: self.present(batch, modality) for name, modality in named.items()}

        def side(name: str) -> tuple[Tensor, Tensor]:
            parts = name.split("+")
            there = torch.stack([present[part] for part in parts]).any(0)
            return torch.cat([streams[part] for part in parts], dim=2), there

        for step, layer in zip(self.wiring.steps, self.layers, strict=True):
            query, there = side(step.query)
            if step.context:
                context, answered = side(step.context)
                result = layer(query, context, answered)
                there = there if self.wiring.own == "query" else answered
            else:
                result = layer(query)
            streams[step.output] = result.masked_fill(~there[:, None, None], 0)
            present[step.output] = there
        joined = torch.cat([streams[stream] for stream in self.wiring.joined], dim=2)
        embedding = torch.cat([joined.mean(1), joined.amax(1)], dim=1)
        return {"logits": self.head(self.hidden(embedding)), "aux": {"embedding": embedding}}
