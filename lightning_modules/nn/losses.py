"""Losses that torch lacks.

Those of classes are behind one call: ``loss(logits, target, weight=None)``, the weight being one per class.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ValueLoss = Literal["mse", "mae", "ccc"]
_TINY = 1e-8  # keeps the concordance of a batch finite where neither labels nor predictions differ


def rmse(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the root mean squared error over the clips that have a label.

    Unlike the square root of a mean it has a gradient (zero) where every error is zero, and where no clip has a label.

    Args:
        predicted: ``(B,)``.
        target: ``(B,)``, NaN where there is no label.

    Returns:
        A scalar, 0 without any label.
    """
    known = ~target.isnan()
    error = (predicted.float() - target.float().nan_to_num()).where(known, 0.0)
    length: Tensor = torch.linalg.vector_norm(error)
    return length / known.sum().clamp_min(1).sqrt()


def labelled(target: Tensor) -> Tensor:
    """Return which clips have a label of a task, bool ``(B,)``.

    Args:
        target: Classes, int64 ``(B,)``, -1 where there is none; probabilities ``(B, K)`` or values ``(B,)``, NaN there.
    """
    if target.is_floating_point():
        return ~target.isnan().reshape(len(target), -1).any(1)
    return target >= 0


def value_error(predicted: Tensor, target: Tensor, kind: ValueLoss = "mse") -> Tensor:
    """Return the error of values over the clips that have a label.

    Args:
        predicted: ``(B,)``.
        target: ``(B,)``, NaN where there is no label.
        kind: ``mse``, the mean of squares; ``mae``, of sizes; ``ccc``, 1 minus the concordance correlation coefficient
            of the batch, which takes batches of several clips to say anything.

    Returns:
        A scalar, 0 with a gradient of 0 without any label.
    """
    known = labelled(target)
    count = known.sum().clamp_min(1)
    said = predicted.float().where(known, 0.0)
    true = target.float().nan_to_num().where(known, 0.0)
    if kind == "mse":
        return (said - true).square().sum() / count
    if kind == "mae":
        return (said - true).abs().sum() / count
    apart_said, apart_true = ((of - of.sum() / count).where(known, 0.0) for of in (said, true))
    shift = (said.sum() - true.sum()) / count
    both = (apart_said * apart_true).sum() / count
    spread = (apart_said.square() + apart_true.square()).sum() / count
    return 1 - (2 * both + _TINY) / (spread + shift.square() + _TINY)


class CrossEntropy(nn.Module):
    """Cross-entropy of softmax scores; `torch.nn.functional.cross_entropy` with the weights given at the call.

    Args:
        label_smoothing: Share of each target that is spread over all classes, 0 to 1.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: Scores ``(B, K)``.
            target: Classes, int64 ``(B,)``, or probabilities, float ``(B, K)``.
            weight: Loss weight per class ``(K,)``.

        Returns:
            A scalar: divided by the summed weights of the target classes, or by B where targets are probabilities.
        """
        return F.cross_entropy(logits.float(), target, weight, label_smoothing=self.label_smoothing)


class FocalLoss(nn.Module):
    """Focal loss over softmax scores: ``sum_k -t_k w_k (1 - p_k)^gamma log p_k``.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, https://arxiv.org/abs/1708.02002, there for
    sigmoids. The reduction is that of `CrossEntropy`, which ``gamma = 0`` equals for every kind of target and weight.

    Args:
        gamma: How much well-classified clips are played down, 0 or more.
        label_smoothing: Share of each target that is spread over all classes, 0 to 1.
    """

    def __init__(self, gamma: float = 2.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch; arguments and divisor are those of `CrossEntropy`."""
        log_p = F.log_softmax(logits.float(), dim=1)
        classes = log_p.shape[1]
        soft = target.float() if target.is_floating_point() else F.one_hot(target, classes).float()
        soft = soft * (1 - self.label_smoothing) + self.label_smoothing / classes
        # 1 - p without cancellation; the floor keeps the gradient of its power finite where gamma < 1 and p = 1.
        miss = (-log_p.expm1()).clamp_min(1e-12)
        terms = -soft * miss**self.gamma * log_p
        if weight is not None:
            terms = terms * weight
        norm = len(target) if weight is None or target.is_floating_point() else weight[target].sum()
        return terms.sum() / norm
