"""The score of one column of one row of a table, from the predictions of its cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from experiments.results.predictions import Predictions, most_probable
from experiments.scores.metrics import statistics
from experiments.scores.metrics.statistics import Array


@dataclass(frozen=True)
class Score:
    """One column of one row.

    Attributes:
        folds: The table's metric by fold, the mean of its seeds.
        seed_spread: Mean over folds of the standard deviation over seeds (ddof 1); NaN with one seed.
        cells: Number of cells behind it.
        planned: Number of cells the table asks for.
        seeds: Training runs behind every clip; the fewest, where folds differ.
        groups: Seed-averaged confusion matrix per group.
        hits: Clip id -> group and what the clip adds to the metric: the share of seeds that were right, over the number
            of classes and of clips of its own where the metric is an average over classes.
        interval: 95 % bootstrap interval of the metric over groups and seeds.
        top3: Share of clips whose class is among the three most probable, mean over runs; NaN without probabilities.
        corpora: Seed-averaged confusion matrix per corpus, where the clips are of several: ids ``<corpus>/<clip>``.
    """

    folds: dict[int, float]
    seed_spread: float
    cells: int
    planned: int
    seeds: int
    groups: dict[str, Array]
    hits: dict[str, tuple[str, float]]
    interval: tuple[float, float]
    top3: float = np.nan
    corpora: dict[str, Array] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean of the metric over folds of the seed means."""
        return float(np.mean(list(self.folds.values())))

    @property
    def spread(self) -> float:
        """Standard deviation over folds (ddof 1); NaN for one fold."""
        return float(np.std(list(self.folds.values()), ddof=1)) if len(self.folds) > 1 else np.nan

    @property
    def confusion(self) -> Array:
        """Confusion matrix of all folds together."""
        total: Array = np.sum(list(self.groups.values()), axis=0)
        return total

    @property
    def uar(self) -> float:
        """Unweighted average recall over the clips of all folds."""
        return float(statistics.uar(self.confusion))

    @property
    def accuracy(self) -> float:
        """Accuracy over the clips of all folds."""
        return float(statistics.accuracy(self.confusion))

    @property
    def f1(self) -> float:
        """Macro F1 over the clips of all folds."""
        return float(statistics.macro_f1(self.confusion))


def score_of(runs: Mapping[tuple[int, int], Predictions], classes: int, planned: int, metric: str) -> Score:
    """Score one column of one row.

    Args:
        runs: Predictions by fold and seed.
        classes: Number of classes.
        planned: Number of cells the table asks for.
        metric: The table's.
    """
    by_fold: dict[int, dict[int, Predictions]] = {}
    for (fold, seed), predictions in runs.items():
        by_fold.setdefault(fold, {})[seed] = predictions
    seeds = sorted({seed for _, seed in runs})
    of_groups: dict[str, Array] = {}  # (S, K, K) each
    groups: dict[str, Array] = {}
    corpora: dict[str, Array] = {}
    right: dict[str, tuple[str, list[float]]] = {}
    # numpy's means and deviations: those of pandas' groups differ in the last bit from three seeds on.
    folds, deviations = {}, []
    for fold, own in sorted(by_fold.items()):
        values = [statistics.metric_of(predictions, metric) for predictions in own.values()]
        folds[fold] = float(np.mean(values))
        if len(values) > 1:
            deviations.append(float(np.std(values, ddof=1)))
        for seed, run in own.items():
            sources = [clip.partition("/")[0] if "/" in clip else "" for clip in run.ids]
            for name, matrix in statistics.confusion_by(run, run.groups, classes).items():
                groups[name] = groups.get(name, 0) + matrix / len(own)
                of_groups.setdefault(name, np.zeros((len(seeds), classes, classes)))[seeds.index(seed)] += matrix
            for name, matrix in statistics.confusion_by(run, sources, classes).items():
                corpora[name] = corpora.get(name, 0) + matrix / len(own)
            counts = np.bincount(run.targets, minlength=classes)
            share = np.ones(classes) if metric == "accuracy" else 1 / np.maximum(counts, 1) / np.count_nonzero(counts)
            hits = (run.targets == run.predicted) * share[run.targets]
            for clip, group, hit in zip(run.ids, run.groups, hits.tolist(), strict=True):
                right.setdefault(clip, (group, []))[1].append(hit)
    return Score(
        folds=folds,
        seed_spread=float(np.mean(deviations)) if deviations else np.nan,
        cells=len(runs),
        planned=planned,
        seeds=min(map(len, by_fold.values())),
        groups=groups,
        hits={clip: (group, float(np.mean(hits))) for clip, (group, hits) in right.items()},
        interval=statistics.bootstrap_interval(np.stack(list(of_groups.values()), axis=1), statistics.METRICS[metric]),
        top3=float(np.mean([_top3(run) for own in by_fold.values() for run in own.values()])),
        corpora=dict(sorted(corpora.items())) if len(corpora) > 1 and "" not in corpora else {},
    )


def _top3(predictions: Predictions) -> float:
    best = predictions.best
    if predictions.probabilities is not None:
        best = most_probable(predictions.probabilities)
    if best is None:
        return np.nan
    return float(np.mean((best == predictions.targets[:, None]).any(1)))
