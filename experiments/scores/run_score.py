"""The numbers of single runs, folds and seeds of one experiment: on the clips of all folds together, seeds averaged."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from experiments.results.predictions import Predictions, Values
from experiments.scores.metrics import sentiment_score, statistics, value_score
from experiments.scores.metrics.statistics import Array

Runs = Mapping[tuple[int, int], Predictions]  # by fold and seed
ValueRuns = Mapping[tuple[int, int], Values]


@dataclass(frozen=True)
class Measured:
    """One metric of some runs.

    Attributes:
        metric: Its name.
        value: Over the clips of all folds.
        interval: 95 % bootstrap interval over groups and seeds; NaN with one group.
        baseline: What a constant answer gets; NaN where that is not known.
    """

    metric: str
    value: float
    interval: tuple[float, float]
    baseline: float


@dataclass(frozen=True)
class Scored:
    """What one task of some runs is scored to be.

    Attributes:
        clips: Number of different clips with a label.
        groups: Number of groups of these.
        metrics: All of them, the one to name first first.
        total: Confusion matrix ``(K, K)`` or sums ``(1, 8)`` of `value_score`, of all clips, seeds averaged.
        more: Metrics of values of this kind alone.
    """

    clips: int
    groups: int
    metrics: list[Measured]
    total: Array
    more: list[Measured] = field(default_factory=list)


def score_classes(runs: Runs, classes: int) -> Scored:
    """Score classes: accuracy, unweighted average recall, macro F1."""
    stacked, total = _stacked({key: statistics.confusion_by(run, run.groups, classes) for key, run in runs.items()})
    found = total.sum(1)
    present, share = int((found > 0).sum()), float(found.max() / found.sum())
    named: list[tuple[str, Callable[[Array], Array], float]] = [
        ("Accuracy", statistics.accuracy, share),
        ("UAR", statistics.uar, 1 / present),
        ("Macro F1", statistics.macro_f1, 2 * share / (1 + share) / present),
    ]
    metrics = [_measured(name, metric, stacked, total, baseline) for name, metric, baseline in named]
    return Scored(_count(runs.values()), stacked.shape[1], metrics, total)


def score_values(runs: ValueRuns, means: Mapping[tuple[int, int], float], sentiment: float = 0.0) -> Scored:
    """Score a value: errors in its unit, correlation and concordance.

    Args:
        runs: Predictions of the value by fold and seed.
        means: Mean of the training labels by fold and seed; the baseline says that of every clip.
        sentiment: Greatest value of the scale, where the value is a sentiment; 0 where it is none.
    """
    low = min([value_score.lowest(runs.values()), *means.values()])
    stacked, total = _stacked({key: value_score.sums(run, low) for key, run in runs.items()})
    constant = {
        key: Values(run.ids, run.groups, run.targets, np.full_like(run.targets, means[key]))
        for key, run in runs.items()
        if key in means
    }
    said = _stacked({key: value_score.sums(run, low) for key, run in constant.items()})[1] if means else None
    metrics = [
        _measured(
            name, metric, stacked, total,
            np.nan if said is None else 0.0 if name in ("Pearson", "CCC") else float(metric(said)),
        )
        for name, metric in value_score.METRICS.items()
    ]  # fmt: skip
    more = list(_sentiments(runs, constant, sentiment)) if sentiment else []
    return Scored(_count(runs.values()), stacked.shape[1], metrics, total, more)


def _sentiments(runs: ValueRuns, constant: ValueRuns, limit: float) -> Iterator[Measured]:
    for name, (way, metric) in sentiment_score.metrics_of(limit).items():
        of_runs = {key: sentiment_score.matrices(run, way) for key, run in runs.items()}
        if any(of_runs.values()):  # else every clip is labelled 0
            said = {key: sentiment_score.matrices(run, way) for key, run in constant.items()}
            baseline = float(metric(_stacked(said)[1])) if said else np.nan
            yield _measured(name, metric, *_stacked(of_runs), baseline)


def _measured(name: str, metric: Callable[[Array], Array], stacked: Array, total: Array, baseline: float) -> Measured:
    return Measured(name, float(metric(total)), statistics.bootstrap_interval(stacked, metric), baseline)


def _count(runs: Iterable[Predictions | Values]) -> int:
    return len({clip for run in runs for clip in run.ids})


def _stacked(of_runs: Mapping[tuple[int, int], Mapping[str, Array]]) -> tuple[Array, Array]:
    """Return what groups have of every seed ``(S, G, ...)``, and the sum over groups of the mean over seeds."""
    seeds = sorted({seed for _, seed in of_runs})
    groups = list(dict.fromkeys(name for of in of_runs.values() for name in of))
    shape = next(own.shape for of in of_runs.values() for own in of.values())
    stacked = np.zeros((len(seeds), len(groups), *shape))
    for (_, seed), of in of_runs.items():
        for name, own in of.items():
            stacked[seeds.index(seed), groups.index(name)] += own
    there = (stacked.sum((2, 3)) > 0).sum(0)
    total: Array = (stacked.sum(0) / there[:, None, None]).sum(0)
    return stacked, total
