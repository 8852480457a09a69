"""Hidden states of an encoder to one vector: which layers count, and how states over time are pooled.

Learned weights over layers: Yang et al., "SUPERB: Speech Processing Universal PERformance Benchmark", Interspeech 2021,
https://arxiv.org/abs/2105.01051. Attention over time: Yang et al., "Hierarchical Attention Networks for Document
Classification", NAACL 2016, https://aclanthology.org/N16-1174, equations 5 to 7. Written from the papers.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightning_modules.errors import TaskError

Pooling = Literal["mean", "mean+deviation", "attention", "first", "last", "none"]


class StateWeights(nn.Module):
    """The softmax of one learned number a layer weighs their states; equal at the start.

    Args:
        layers: Number of layers, that of the input included.

    Example:
        >>> StateWeights(2)([torch.zeros(1, 1, 1), torch.ones(1, 1, 1)]).item()
        0.5
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum of the states ``(N, T, D)`` of all layers."""
        return torch.einsum("l,lntd->ntd", self.scores.softmax(0), torch.stack(list(states)))


class AttentionWeights(nn.Sequential):
    """How much a step counts: ``softmax_t(w . tanh(W h_t + b))`` over the steps that are there.

    Args:
        size: Values of a step.
    """

    def __init__(self, size: int) -> None:
        super().__init__(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1, bias=False))

    def pool(self, states: Tensor, valid: Tensor | None) -> Tensor:
        """Return the weighted sum ``(N, D)`` of states ``(N, T, D)`` over the steps of a mask, bool ``(N, T)``."""
        scores: Tensor = self(states).squeeze(2)
        if valid is not None:
            scores = scores.masked_fill(~valid, -torch.inf)
        weighed: Tensor = (scores.softmax(1).unsqueeze(1) @ states).squeeze(1)
        return weighed


class StatePooling(nn.Module):
    """States ``(N, T, D)`` over time to one vector, from the steps that are there alone.

    Args:
        kind: ``mean``; ``mean+deviation``, both side by side; ``attention``, learned; the ``first`` or the ``last``
            step; ``none`` hands the states over as they are.
        size: Values of a step, D.

    Attributes:
        channels: Length of the result.

    Example:
        >>> pooling = StatePooling("mean+deviation", 1)
        >>> pooling(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
        tensor([[2., 1.]])
    """

    def __init__(self, kind: Pooling, size: int) -> None:
        super().__init__()
        if kind not in get_args(Pooling):
            raise TaskError(f"pooling: {kind}; give one of {', '.join(get_args(Pooling))}")
        self.kind = kind
        self.channels = 2 * size if kind == "mean+deviation" else size
        self.weigh = AttentionWeights(size) if kind == "attention" else None

    def forward(self, states: Tensor, valid: Tensor) -> Tensor:
        """Pool states ``(N, T, D)`` over a mask, bool ``(N, T)`` with at least one step each, to ``(N, channels)``."""
        if self.kind == "none":
            return states.masked_fill(~valid.unsqueeze(2), 0)
        if self.kind == "first":
            return states[:, 0]
        if self.kind == "last":
            places = torch.arange(states.shape[1], device=states.device)
            return states[torch.arange(len(states), device=states.device), (places * valid).argmax(1)]
        if self.weigh is not None:
            return self.weigh.pool(states, valid)
        mean = masked_mean(states, valid)
        if self.kind == "mean":
            return mean
        variance = masked_mean((states - mean.unsqueeze(1)).square(), valid)
        return torch.cat([mean, _root(variance)], dim=1)


def _root(variance: Tensor) -> Tensor:
    """Return the square root; its slope at 0, a single step's, is 0 and not infinite."""
    positive = variance > 0
    return torch.where(positive, variance.where(positive, torch.ones_like(variance)).sqrt(), 0)


def masked_mean(values: Tensor, there: Tensor) -> Tensor:
    """Return the mean ``(N, D)`` of values ``(N, T, D)`` over the steps of a mask, bool ``(N, T)``; 0 without any."""
    total = values.masked_fill(~there.unsqueeze(2), 0).sum(1)
    return total / there.sum(1, keepdim=True).clamp_min(1)
