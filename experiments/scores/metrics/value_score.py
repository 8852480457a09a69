"""Errors and agreement of values from sums over clips, which can be added over groups and drawn again.

A group's sums are one row ``(1, 8)``: the number of clips, and the sums of the sizes of errors, of predictions and
labels, of their squares and of their products. No metric here depends on where 0 is: the least value stands there, so
that no sum is negative, as the bootstrap of `experiments.scores.metrics.statistics` wants it.
"""

from collections.abc import Iterable

import numpy as np

from experiments.results.predictions import Values
from experiments.scores.metrics.statistics import Array


def lowest(runs: Iterable[Values]) -> float:
    """Return the least label or prediction of some runs; 0 without clips."""
    return min((float(min(run.targets.min(), run.predicted.min())) for run in runs if len(run.ids)), default=0.0)


def sums(run: Values, low: float) -> dict[str, Array]:
    """Return the sums ``(1, 8)`` of every group.

    Args:
        run: Predictions of a value.
        low: What is taken as 0: at most the least value of all runs.
    """
    said, true = run.predicted - low, run.targets - low
    columns = np.stack([np.ones_like(said), abs(said - true), said, true, said**2, true**2, said * true], axis=1)
    columns = np.concatenate([columns, (said - true)[:, None] ** 2], axis=1)
    found: dict[str, Array] = {}
    for group, row in zip(run.groups, columns, strict=True):
        found[group] = found.get(group, np.zeros((1, 8))) + row
    return found


def mae(total: Array) -> Array:
    """Return the mean size of errors, ``(...)`` of sums ``(..., 1, 8)``."""
    return _column(total, 1) / _column(total, 0)


def rmse(total: Array) -> Array:
    """Return the root of the mean squared error, ``(...)`` of sums ``(..., 1, 8)``."""
    root: Array = np.sqrt(_column(total, 7) / _column(total, 0))
    return root


def pearson(total: Array) -> Array:
    """Return Pearson's correlation, 0 where predictions or labels are all the same, ``(...)`` of ``(..., 1, 8)``."""
    covariance, spread_said, spread_true, _ = _moments(total)
    return _share(covariance, np.sqrt(spread_said * spread_true), spread_said * spread_true)


def ccc(total: Array) -> Array:
    """Return Lin's concordance correlation coefficient, 0 where predictions or labels are all the same.

    ``(...)`` of ``(..., 1, 8)``; variances and covariance are those of a sample, as torchmetrics has them.
    """
    covariance, spread_said, spread_true, apart = _moments(total)
    return _share(2 * covariance, spread_said + spread_true + apart**2, spread_said * spread_true)


METRICS = {"MAE": mae, "RMSE": rmse, "Pearson": pearson, "CCC": ccc}


def _column(total: Array, place: int) -> Array:
    column: Array = total[..., 0, place]
    return column


def _moments(total: Array) -> tuple[Array, Array, Array, Array]:
    count, said, true = (_column(total, place) for place in (0, 2, 3))
    mean_said, mean_true = said / count, true / count
    of_sample = count / np.maximum(count - 1, 1e-9)

    def centred(place: int, means: Array) -> Array:
        spread: Array = (_column(total, place) / count - means) * of_sample
        size = _column(total, place) / count
        return np.where(abs(spread) <= 1e-12 * size, 0.0, spread)  # of rounding

    return (
        centred(6, mean_said * mean_true),
        np.maximum(centred(4, mean_said**2), 0),
        np.maximum(centred(5, mean_true**2), 0),
        mean_said - mean_true,
    )


def _share(part: Array, whole: Array, where: Array) -> Array:
    share: Array = np.divide(part, whole, out=np.zeros(np.shape(part)), where=where > 0)
    return share
