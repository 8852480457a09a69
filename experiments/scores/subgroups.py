"""What a table says of who is in the clips and of what its models look at: accuracy per group, weights per modality.

From the columns ``attr_<name>`` and ``gate_<modality>`` of per-clip predictions alone.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from experiments.results.predictions import Predictions

Values = npt.NDArray[np.float64]


def groups(runs: list[Predictions]) -> Iterator[tuple[str, str]]:
    """Attributes and their values, those that clips have, in order of the attribute and its first value."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, values in run.attributes.items():
            found.setdefault(name, {}).update(dict.fromkeys(values))
    for name, known in found.items():
        yield from ((name, value) for value in sorted(known) if value)


def accuracies(runs: list[Predictions], name: str, value: str) -> tuple[int, float, float]:
    """Accuracy on the clips of one group.

    Args:
        runs: One per cell.
        name: The attribute.
        value: Its value.

    Returns:
        Number of different clips; accuracy, the seeds of a clip weighing as one clip; half the width of its 95 % Wald
        interval.
    """
    hits: dict[str, list[bool]] = {}
    for run in runs:
        right = (run.targets == run.predicted).tolist()
        for clip, own, hit in zip(run.ids, run.attributes.get(name, []), right, strict=False):
            if own == value:
                hits.setdefault(clip, []).append(hit)
    means = np.array([np.mean(of) for of in hits.values()])
    if not len(means):
        return 0, np.nan, np.nan
    half = 1.96 * float(np.std(means, ddof=1)) / np.sqrt(len(means)) if len(means) > 1 else np.nan
    return len(means), float(means.mean()), half


def weights(runs: list[Predictions], class_names: list[str]) -> dict[tuple[str, str], dict[str, Values]]:
    """Weights of every modality over all runs, by class and by every attribute's value.

    Args:
        runs: One per cell.
        class_names: Names of the classes.

    Returns:
        ``{(what, value): {modality: (N,)}}`` with "class" as the first what, none without gates; clips where a modality
        is absent are left out of its weights.
    """
    found: dict[tuple[str, str], dict[str, list[Values]]] = {}
    for run in runs:
        labels = {"class": [class_names[target] for target in run.targets], **run.attributes}
        for name, values in labels.items():
            own = np.array(values)
            for value in (v for v in dict.fromkeys(values) if v):
                for modality, gate in run.gates.items():
                    there = (own == value) & (gate > 0)
                    found.setdefault((name, value), {}).setdefault(modality, []).append(gate[there])
    joined = {key: {modality: np.concatenate(of) for modality, of in by.items()} for key, by in found.items()}
    order = {name: place for place, name in enumerate(class_names)}
    names = list(dict.fromkeys(name for name, _ in joined))
    keys = sorted(joined, key=lambda key: (names.index(key[0]), order.get(key[1], 0), key[1]))
    return {key: joined[key] for key in keys}


def adaptive(runs: list[Predictions]) -> bool:
    """Whether weights differ from clip to clip, beyond what the modalities that are there make of them."""
    return any(len(np.unique(gate[gate > 0].round(4))) > 4 for run in runs for gate in run.gates.values())


def overall(runs: list[Predictions]) -> dict[str, Values]:
    """Weights of every modality over all clips that have it."""
    found: dict[str, list[Values]] = {}
    for run in runs:
        for modality, gate in run.gates.items():
            found.setdefault(modality, []).append(gate[gate > 0])
    return {modality: np.concatenate(of) for modality, of in found.items()}


def heaviest(by: Mapping[str, Values]) -> str:
    """The modality with the greatest mean weight."""
    return max(by, key=lambda modality: float(by[modality].mean()) if len(by[modality]) else -1.0)


def bounds(modalities: int) -> tuple[float, float]:
    """Least and greatest weight that the softmax of sigmoids can give one of several modalities, k.

    Args:
        modalities: How many are there.

    Returns:
        ``1 / (1 + (k - 1) e)`` and ``e / (e + k - 1)``.

    Example:
        >>> [round(bound, 4) for bound in bounds(3)]
        [0.1554, 0.5761]
    """
    return 1 / (1 + (modalities - 1) * np.e), np.e / (np.e + modalities - 1)
