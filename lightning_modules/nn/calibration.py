"""Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599): a model as sure as it is right."""

import math

import torch
from torch import Tensor

BINS = 15
_RANGE = (-4.0, 4.0)  # of the logarithm of the temperature
_STEPS = 60


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return what logits are divided by so that their cross-entropy is least.

    Args:
        logits: ``(N, K)``.
        labels: Class indices ``(N,)``.
    """
    scores = logits.double()

    def loss(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(scores / math.exp(temperature), labels))

    low, high = _RANGE
    for _ in range(_STEPS):  # it is convex in 1 / T, so that it has one minimum in the logarithm too
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Return the expected calibration error: how far, on average, confidence and accuracy of a bin lie apart.

    Args:
        confidence: Probability of the answer ``(N,)``.
        right: Whether it was right, bool ``(N,)``.
    """
    bins = (confidence * BINS).long().clamp(0, BINS - 1)
    apart = torch.zeros(BINS, dtype=torch.float64).index_add_(0, bins, confidence.double() - right.double())
    return float(apart.abs().sum() / len(confidence))


def unsure_below(confidence: Tensor, right: Tensor) -> float:
    """Return the confidence below which more answers were wrong than right; 0 where there is none.

    Args:
        confidence: Probability of the answer ``(N,)``.
        right: Whether it was right, bool ``(N,)``.
    """
    order = confidence.argsort()
    hits = right[order].double().cumsum(0) / torch.arange(1, len(order) + 1)
    worse = (hits < 0.5).nonzero()
    if not len(worse):
        return 0.0
    last = int(worse[-1])
    return 1.0 if last == len(order) - 1 else float(confidence[order[last + 1]])
