"""Metrics from confusion matrices, their intervals, and tests of their differences.

Clips of one speaker are not independent, so intervals and tests resample groups (speakers), never clips. Training runs
differ too: intervals resample the seeds there are, and with one seed all that is said is conditional on that run. Every
metric takes confusion matrices ``(..., K, K)``, rows the true classes: a group's matrix may hold fractions, which is
how several seeds of one clip weigh as one clip.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.results.predictions import Predictions

Array = npt.NDArray[np.float64]
Metric = Callable[[Array], Array]
RESAMPLES = 10_000
_SUMS = 200_000_000  # additions that counting the sums of whole differences may take: about a second
_PAIRED = 36  # groups whose sign patterns are counted by halves: 2**18 sums each
_FRACTION = 1_000  # largest denominator looked for: seeds, and classes times clips where a metric averages over classes
_ROUNDING = 1e-12  # of the sum of the differences' sizes


def confusion_matrix(
    targets: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """Return counts ``(K, K)`` of clips by true class (row) and predicted class (column)."""
    counts = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def confusion_by(predictions: Predictions, names: Sequence[str], classes: int) -> dict[str, Array]:
    """Return the confusion matrix ``(K, K)`` of the clips of every name, in the order of their first clips."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    shape = (len(places), classes, classes)
    cells = np.ravel_multi_index(([places[name] for name in names], predictions.targets, predictions.predicted), shape)
    counts = np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.float64)
    return dict(zip(places, counts, strict=True))


def accuracy(confusion: Array) -> Array:
    """Return the share of clips whose class was found, ``(...)``."""
    return _ratio(_hits(confusion).sum(-1), confusion.sum((-2, -1)))


def recalls(confusion: Array) -> Array:
    """Return the recall per class ``(..., K)``; NaN for a class without clips."""
    return _ratio(_hits(confusion), confusion.sum(-1))


def precisions(confusion: Array) -> Array:
    """Return the precision per class ``(..., K)``; NaN for a class that is never predicted."""
    return _ratio(_hits(confusion), confusion.sum(-2))


def f1s(confusion: Array) -> Array:
    """Return the F1 per class ``(..., K)``; NaN for a class that is neither there nor predicted."""
    return _ratio(2 * _hits(confusion), confusion.sum(-1) + confusion.sum(-2))


def uar(confusion: Array) -> Array:
    """Return the unweighted average recall: the mean recall of the classes that the targets hold, ``(...)``."""
    return _mean_over_present(recalls(confusion), confusion)


def macro_precision(confusion: Array) -> Array:
    """Return the mean precision of the classes that the targets hold, 0 for one that is never predicted, ``(...)``."""
    return _mean_over_present(np.nan_to_num(precisions(confusion)), confusion)


def macro_f1(confusion: Array) -> Array:
    """Return the mean F1 of the classes that the targets hold, ``(...)``."""
    return _mean_over_present(f1s(confusion), confusion)


def weighted_f1(confusion: Array) -> Array:
    """Return the F1 of the classes, weighted by how many clips are of each, ``(...)``."""
    scores = _ratio(2 * _hits(confusion), confusion.sum(-1) + confusion.sum(-2))
    return _ratio((np.nan_to_num(scores) * confusion.sum(-1)).sum(-1), confusion.sum((-2, -1)))


def majority_baseline(targets: npt.NDArray[np.int64]) -> float:
    """Return the accuracy of always naming the most frequent class."""
    return float(np.bincount(targets).max() / len(targets))


def bootstrap_interval(
    runs: Array, metric: Metric = accuracy, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of a metric over resampled groups and resampled training runs.

    Every resample draws groups with replacement and, apart from them, seeds with replacement: the same seeds in all
    groups, since a seed's runs start alike. A group whose seeds were all missed is taken at its mean over seeds.

    Args:
        runs: Confusion matrices ``(S, G, K, K)``, one per seed and group; zero where a group has no run of a seed.
        metric: What to compute on the sum of the resampled matrices, the seeds of a group weighing as one.
        level: Coverage of the interval.
        resamples: Number of bootstrap samples, each as many groups and as many seeds as there are.
        seed: Seed of the draws.

    Returns:
        Lower and upper end; both NaN for fewer than two groups.
    """
    seeds, count = runs.shape[:2]
    if count < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    groups = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    draws, kind = np.unique(
        rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples), axis=0, return_inverse=True
    )
    if metric is accuracy:  # of many classes hits and misses are enough, and far fewer numbers
        hits = _hits(runs).sum(-1)
        runs = np.stack([hits, runs.sum((2, 3)) - hits, np.zeros_like(hits), np.zeros_like(hits)], -1)
        runs = runs.reshape(seeds, count, 2, 2)
    there = (runs.sum((2, 3)) > 0).astype(np.float64)
    values = np.empty(resamples)
    for index, draw in enumerate(draws.astype(np.float64)):  # a handful: there are few ways of drawing few seeds
        drawn = draw[:, None] * there
        weights = np.where(drawn.sum(0) > 0, drawn, there)
        averaged = np.einsum("sg,sgij->gij", weights / weights.sum(0), runs)
        values[kind == index] = metric(np.tensordot(groups[kind == index], averaged, axes=1))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class SignFlips:
    """Result of a paired permutation test.

    Attributes:
        p: The two-sided p value; NaN without groups.
        drawn: Number of random sign patterns behind it; 0 where all there are were counted.
    """

    p: float
    drawn: int = 0


def sign_flip_test(differences: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> SignFlips:
    """Return the p value of a two-sided, paired permutation test that exchanges the two rows within every group.

    All ``2**G`` sign patterns are counted where the differences are multiples of one fraction, as those of hits are
    (their sums are few: a convolution counts them, up to `_SUMS` steps), and for any differences of up to
    `_PAIRED` groups (the sums of one half are looked up among those of the other).

    Args:
        differences: One paired difference per group ``(G,)``, in hits; what is below 1e-12 is rounding.
        resamples: Where there are more patterns than can be counted: how many random ones are tried, the observed one
            counted in (Phipson and Smyth 2010).
        seed: Seed of the random patterns.

    Returns:
        The p value, and how many patterns were drawn for it.
    """
    count = len(differences)
    if count == 0:
        return SignFlips(np.nan)
    whole = _as_integers(differences)
    if whole is not None and count * (2 * int(np.abs(whole).sum()) + 1) <= _SUMS:
        return SignFlips(_convolved(whole))
    # A pattern with the same sum counts whatever the rounding.
    least = abs(differences.sum()) - _ROUNDING * np.abs(differences).sum()
    if count <= _PAIRED:
        one, other = _signed_sums(differences[::2]), np.sort(_signed_sums(differences[1::2]))
        above = len(other) - np.searchsorted(other, least - one, side="left")
        below = np.searchsorted(other, -least - one, side="right")
        return SignFlips(min(1.0, float((above + below).sum()) / 2.0**count))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(resamples, count))
    p = (1 + np.sum(np.abs(signs @ differences) >= least)) / (1 + resamples)
    return SignFlips(float(p), drawn=resamples)


def _as_integers(differences: Array) -> npt.NDArray[np.int64] | None:
    """Return the differences times the least number that makes all of them whole; None where none up to 1,000 does."""
    scales = np.arange(1.0, _FRACTION + 1)
    scaled = scales[:, None] * differences
    off = np.abs(scaled - np.rint(scaled)).max(1)
    found = np.flatnonzero(off <= _ROUNDING * scales * max(1.0, float(np.abs(differences).sum())))
    return np.rint(scaled[found[0]]).astype(np.int64) if len(found) else None


def _convolved(differences: npt.NDArray[np.int64]) -> float:
    """Return the share of sign patterns whose sum is at least as far from 0 as the observed one."""
    reach = int(np.abs(differences).sum())
    shares = np.zeros(2 * reach + 1)  # of the patterns so far, by sum: index 0 is -reach
    shares[reach] = 1.0
    for step in np.abs(differences[differences != 0]).tolist():
        moved = np.zeros_like(shares)  # beyond the ends there is nothing: no sum is farther than reach
        moved[step:] += shares[:-step] / 2
        moved[:-step] += shares[step:] / 2
        shares = moved
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(differences.sum()))
    return min(1.0, float(shares[far].sum()))


def _signed_sums(values: Array) -> Array:
    """Return the sums of all sign patterns, ``(2**N,)``."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def holm(values: Sequence[float]) -> list[float]:
    """Return Holm-corrected p values.

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


def metric_of(predictions: Predictions, metric: str) -> float:
    """Return a table's metric of some predictions.

    Args:
        predictions: Of one cell.
        metric: ``accuracy`` or ``uar``.
    """
    classes = int(max(predictions.targets.max(), predictions.predicted.max())) + 1
    return float(METRICS[metric](confusion_matrix(predictions.targets, predictions.predicted, classes)))


def _hits(confusion: Array) -> Array:
    diagonal: Array = np.diagonal(confusion, axis1=-2, axis2=-1)
    return diagonal


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return ratio


def _mean_over_present(values: Array, confusion: Array) -> Array:
    present: npt.NDArray[np.bool_] = confusion.sum(-1) > 0
    return _ratio(np.where(present, values, 0.0).sum(-1), present.sum(-1))
