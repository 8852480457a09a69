"""The figures that papers on CMU-MOSI and CMU-MOSEI report, from predicted and true values of sentiment.

Zadeh et al., "Tensor Fusion Network for Multimodal Sentiment Analysis", EMNLP 2017, https://arxiv.org/abs/1707.07250,
and what became the custom since: two classes in two ways (negative against not negative, and, without the clips
labelled 0, negative against positive), and seven classes by rounding. The mean absolute error and Pearson's correlation
beside them are those of any value, in `lightning_modules.nn.metrics`.
"""

from typing import Any

from torch import Tensor

SEVEN = 3  # the scale of seven classes goes from -3 to 3


def sentiment_scores(values: dict[str, tuple[Tensor, Tensor]], outputs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return `sentiment_metrics` of the tasks that are sentiments.

    Args:
        values: Predicted and true values ``(N,)`` by task.
        outputs: What the data say each task is: ``"scale": "sentiment"`` and its ``range``.

    Returns:
        ``<metric>_<task>``.
    """
    scores: dict[str, float] = {}
    for task, (predicted, true) in values.items():
        of = outputs.get(task, {})
        if of.get("scale") == "sentiment":
            found = sentiment_metrics(predicted, true, of["range"][1])
            scores |= {f"{name}_{task}": value for name, value in found.items()}
    return scores


def sentiment_metrics(predicted: Tensor, true: Tensor, limit: float = SEVEN) -> dict[str, float]:
    """Return what is reported of predicted sentiments.

    Args:
        predicted: Values ``(N,)``.
        true: Values ``(N,)``, NaN where there is no label.
        limit: The scale goes from ``-limit`` to ``limit``; only that of 3 has seven classes.

    Returns:
        ``acc2_nonnegative`` and ``f1_nonnegative`` (0 and more against less, every clip), ``acc2_positive`` and
        ``f1_positive`` (more than 0 against the rest, clips labelled 0 left out) and ``acc7``; F1 is weighted by the
        classes' sizes. What cannot be told is left out: the second way where every label is 0, all without a label.
    """
    known = ~true.isnan()
    said, right = predicted[known].double(), true[known].double()
    if not len(right):
        return {}
    metrics = {
        "acc2_nonnegative": ((said >= 0) == (right >= 0)).double().mean().item(),
        "f1_nonnegative": weighted_f1(said >= 0, right >= 0),
    }
    if (told := right != 0).any():
        metrics["acc2_positive"] = ((said > 0) == (right > 0))[told].double().mean().item()
        metrics["f1_positive"] = weighted_f1((said > 0)[told], (right > 0)[told])
    if limit == SEVEN:
        classes = [values.clamp(-SEVEN, SEVEN).round() for values in (said, right)]
        metrics["acc7"] = (classes[0] == classes[1]).double().mean().item()
    return metrics


def weighted_f1(predicted: Tensor, true: Tensor) -> float:
    """Return the F1 of two classes, weighted by how many clips are of each.

    Args:
        predicted: bool ``(N,)``.
        true: bool ``(N,)``.

    Example:
        >>> weighted_f1(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
        0.6666666666666666
    """
    total = 0.0
    for said, right in ((predicted, true), (~predicted, ~true)):
        both = (said & right).sum().item()
        every = said.sum().item() + right.sum().item()
        total += right.sum().item() * (2 * both / every if every else 0.0)
    return total / len(true)
