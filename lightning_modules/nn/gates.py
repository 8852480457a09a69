"""Weights over the modalities that are there: exact zeros for the others, in float32 whatever the precision."""

import math
from typing import Literal

import torch
from torch import Tensor, nn


def masked_softmax(scores: Tensor, present: Tensor, temperature: Tensor | float = 1.0) -> Tensor:
    """Return the softmax over the entries of a mask.

    Args:
        scores: ``(B, M)``.
        present: bool ``(B, M)``.
        temperature: Scores are divided by it.

    Returns:
        float32 ``(B, M)``: exactly 0 for what is absent, all 0 where nothing is there; otherwise they sum to 1.

    Example:
        >>> masked_softmax(torch.zeros(1, 3), torch.tensor([[True, False, True]]))
        tensor([[0.5000, 0.0000, 0.5000]])
    """
    scores = (scores.float() / temperature).masked_fill(~present, -torch.inf)
    there = present.any(1, keepdim=True)
    return scores.masked_fill(~there, 0).softmax(1) * there


def reachable(modalities: int) -> tuple[float, float]:
    """Return the least and greatest weight that the softmax of sigmoids can give one of several modalities.

    Args:
        modalities: How many are there, k.

    Returns:
        ``1 / (1 + (k - 1) e)`` and ``e / (e + k - 1)``: a sigmoid lies between 0 and 1.

    Example:
        >>> [round(bound, 4) for bound in reachable(3)]
        [0.1554, 0.5761]
    """
    return 1 / (1 + (modalities - 1) * math.e), math.e / (math.e + modalities - 1)


def dropped(present: Tensor, rate: float) -> Tensor:
    """Drop modalities at random; at least one of those present stays.

    Args:
        present: bool ``(B, M)``.
        rate: Share of modalities that drop out.

    Returns:
        What is left, bool ``(B, M)``.
    """
    draw = torch.rand(present.shape, device=present.device)
    left = present & (draw >= rate)
    # Where all would go, the one with the highest draw stays: any of them, with equal chances.
    highest = draw.masked_fill(~present, -1).argmax(1, keepdim=True)
    stays = torch.zeros_like(present).scatter(1, highest, True) & present
    return torch.where(left.any(1, keepdim=True), left, stays)


class ModalityGate(nn.Module):
    """One number that says how much a modality counts: of its features and the metadata, ``[h; m]`` -> 1.

    Args:
        features: Size of both together.
        kind: ``linear``, as the document's algorithm has it; ``mlp128``, its second listing; ``equal`` gives 0 to all:
            no gate, the weights are equal.
        bounded: Take the sigmoid, as written; without it any weight can be reached.
    """

    def __init__(
        self, features: int, kind: Literal["linear", "mlp128", "equal"] = "linear", bounded: bool = True
    ) -> None:
        super().__init__()
        self.layers: nn.Module | None = None
        if kind == "linear":
            self.layers = nn.Linear(features, 1)
        elif kind == "mlp128":
            self.layers = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 1))
        self.bounded = bounded

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores ``(B,)`` of features ``(B, F)``."""
        if self.layers is None:
            return features.new_zeros(len(features))
        score: Tensor = self.layers(features).squeeze(1).float()
        return score.sigmoid() if self.bounded else score
