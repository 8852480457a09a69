"""Metrics from confusion matrices, and what may be said of their differences.

Clips of one speaker are not independent, so intervals and tests resample groups (speakers), never clips. Every metric
takes confusion matrices ``(..., K, K)``, rows the true classes: a group's matrix may hold fractions, which is how
several seeds of one clip weigh as one clip.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Metric = Callable[[Array], Array]
RESAMPLES = 10_000


def confusion_matrix(
    targets: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """Counts ``(K, K)`` of clips by true class (row) and predicted class (column)."""
    counts = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def accuracy(confusion: Array) -> Array:
    """Share of clips whose class was found, ``(...)``."""
    return _ratio(_hits(confusion).sum(-1), confusion.sum((-2, -1)))


def recalls(confusion: Array) -> Array:
    """Recall per class ``(..., K)``; NaN for a class without clips."""
    return _ratio(_hits(confusion), confusion.sum(-1))


def uar(confusion: Array) -> Array:
    """Unweighted average recall: the mean recall of the classes that the targets hold, ``(...)``."""
    return _mean_over_present(recalls(confusion), confusion)


def macro_precision(confusion: Array) -> Array:
    """Mean precision of the classes that the targets hold, 0 for one that is never predicted, ``(...)``."""
    return _mean_over_present(np.nan_to_num(_ratio(_hits(confusion), confusion.sum(-2))), confusion)


def macro_f1(confusion: Array) -> Array:
    """Mean F1 of the classes that the targets hold, ``(...)``."""
    return _mean_over_present(_ratio(2 * _hits(confusion), confusion.sum(-1) + confusion.sum(-2)), confusion)


def majority_baseline(targets: npt.NDArray[np.int64]) -> float:
    """Accuracy of always naming the most frequent class."""
    return float(np.bincount(targets).max() / len(targets))


def bootstrap_interval(
    groups: Array, metric: Metric = accuracy, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of a metric over resampled groups.

    Args:
        groups: Confusion matrices ``(G, K, K)``, one per group.
        metric: What to compute on the sum of the resampled matrices.
        level: Coverage of the interval.
        resamples: Number of bootstrap samples, each as many groups as there are, drawn with replacement.
        seed: Seed of the draws.

    Returns:
        Lower and upper end; both NaN for fewer than two groups.
    """
    count = len(groups)
    if count < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    values = metric(np.tensordot(draws.astype(np.float64), groups, axes=1))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_test(differences: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided paired permutation test: were the two rows' names exchangeable within every group?

    Args:
        differences: One paired difference per group ``(G,)``.
        resamples: All ``2**G`` sign patterns are tried where there are no more than this; otherwise so many random
            ones, the observed one counted in (Phipson and Smyth 2010).
        seed: Seed of the random patterns.

    Returns:
        The p value; NaN without groups.
    """
    count = len(differences)
    if count == 0:
        return np.nan
    observed = abs(differences.sum()) - 1e-12  # a pattern with the same sum counts whatever the rounding
    if 2**count <= resamples:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ differences) >= observed))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(resamples, count))
    return float((1 + np.sum(np.abs(signs @ differences) >= observed)) / (1 + resamples))


def holm(values: Sequence[float]) -> list[float]:
    """Holm-corrected p values.

    Args:
        values: p values; NaN for a comparison that was not made.

    Returns:
        Corrected values in the same order, NaN where there was none.
    """
    raw = np.asarray(values, dtype=np.float64)
    order = [index for index in np.argsort(raw, kind="stable") if not np.isnan(raw[index])]
    corrected, running = np.full(len(raw), np.nan), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, float(raw[index]) * (len(order) - rank)))
        corrected[index] = running
    return [float(value) for value in corrected]


METRICS = {"accuracy": accuracy, "uar": uar}


def _hits(confusion: Array) -> Array:
    diagonal: Array = np.diagonal(confusion, axis1=-2, axis2=-1)
    return diagonal


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return ratio


def _mean_over_present(values: Array, confusion: Array) -> Array:
    present: npt.NDArray[np.bool_] = confusion.sum(-1) > 0
    return _ratio(np.where(present, values, 0.0).sum(-1), present.sum(-1))
