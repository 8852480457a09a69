"""Our predictions against those that others published, on the clips that both have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from experiments.results.predictions import Predictions
from experiments.scores.metrics import statistics
from experiments.scores.metrics.statistics import Array


@dataclass(frozen=True)
class Compared:
    """Some runs of ours against predictions of others.

    Attributes:
        clips: Number of clips that both have.
        groups: Number of their groups.
        ours: Confusion matrix of these clips, the seeds of a clip weighing as one.
        theirs: Theirs of the same clips.
        p: Of the paired test over groups, of the accuracy.
    """

    clips: int
    groups: int
    ours: Array
    theirs: Array
    p: float


def compare(runs: Mapping[tuple[int, int], Predictions], theirs: Mapping[str, int], classes: int) -> Compared | None:
    """Compare runs with predictions of others.

    Args:
        runs: Ours by fold and seed.
        theirs: Predicted class by clip.
        classes: Number of classes.

    Returns:
        The comparison; None where no clip is in both.
    """
    seeds: dict[str, int] = {}
    for run in runs.values():
        for clip in run.ids:
            seeds[clip] = seeds.get(clip, 0) + 1
    ours, others = np.zeros((classes, classes)), np.zeros((classes, classes))
    differences: dict[str, float] = {}
    clips = set()
    for run in runs.values():
        for clip, group, target, said in zip(
            run.ids, run.groups, run.targets.tolist(), run.predicted.tolist(), strict=True
        ):
            if clip in theirs:
                clips.add(clip)
                ours[target, said] += 1 / seeds[clip]
                others[target, theirs[clip]] += 1 / seeds[clip]
                gain = (said == target) - int(theirs[clip] == target)
                differences[group] = differences.get(group, 0.0) + gain / seeds[clip]
    if not clips:
        return None
    test = statistics.sign_flip_test(np.array(list(differences.values())))
    return Compared(len(clips), len(differences), ours, others, test.p)


def corrected(found: Mapping[str, Compared]) -> dict[str, Compared]:
    """Return comparisons by row with p values corrected by Holm's method."""
    values = statistics.holm([one.p for one in found.values()])
    return {name: replace(one, p=p) for (name, one), p in zip(found.items(), values, strict=True)}
