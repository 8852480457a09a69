"""What papers on sentiment report of a value: two classes in two ways and, on a scale of 3, seven by rounding.

The customs, and where they come from, are told in `lightning_modules.nn.sentiment_metrics`, whose figures these are.
"""

from collections.abc import Callable, Mapping

import numpy as np

from experiments.results.predictions import Values
from experiments.scores.metrics import statistics
from experiments.scores.metrics.statistics import Array

SEVEN = 3  # the scale of seven classes goes from -3 to 3
Metric = Callable[[Array], Array]
METRICS: Mapping[str, tuple[str, Metric]] = {  # the way to make classes, and what is told of them
    "Acc-2, negative or not": ("negative or not", statistics.accuracy),
    "F1, negative or not": ("negative or not", statistics.weighted_f1),
    "Acc-2, negative or positive": ("negative or positive", statistics.accuracy),
    "F1, negative or positive": ("negative or positive", statistics.weighted_f1),
    "Acc-7": ("seven", statistics.accuracy),
}
CLASSES = {"negative or not": 2, "negative or positive": 2, "seven": 2 * SEVEN + 1}


def metrics_of(limit: float) -> dict[str, tuple[str, Metric]]:
    """Return the metrics of a scale from ``-limit`` to ``limit``: only that of 3 has seven classes."""
    return {name: of for name, of in METRICS.items() if of[0] != "seven" or limit == SEVEN}


def matrices(run: Values, way: str) -> dict[str, Array]:
    """Return the confusion matrix of every group with a clip that has a class.

    Args:
        run: Predictions of a sentiment.
        way: To make classes, of `CLASSES`; ``negative or positive`` leaves out clips labelled 0.
    """
    kept = run.targets != 0 if way == "negative or positive" else np.ones(len(run.targets), bool)
    true, said = (_classes(values[kept], way) for values in (run.targets, run.predicted))
    names = np.array(run.groups, dtype=object)[kept]
    return {
        name: statistics.confusion_matrix(true[names == name], said[names == name], CLASSES[way])
        for name in dict.fromkeys(names)
    }


def _classes(values: Array, way: str) -> np.ndarray:
    if way == "seven":
        return (values.clip(-SEVEN, SEVEN).round() + SEVEN).astype(np.int64)
    return (values >= 0 if way == "negative or not" else values > 0).astype(np.int64)
