"""Subgroups of a table: accuracy per group of people in the clips, weights per modality.

From the columns ``attr_<name>`` and ``gate_<modality>`` of per-clip predictions alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from experiments.results.predictions import Predictions

if TYPE_CHECKING:  # importing pandas costs a third of a second: only a report pays for it
    import pandas as pd

Values = npt.NDArray[np.float64]
Group = tuple[str, str]  # what the clips of a group have in common, and its value


def clips_of(runs: Sequence[Predictions], class_names: Sequence[str]) -> "pd.DataFrame":
    """Return one line per run and clip, runs and their clips in order.

    Args:
        runs: One per cell.
        class_names: Names of the classes.

    Returns:
        Columns ``run``, ``id``, ``right``, ``class``, ``attr_<name>``, None where unknown, and
        ``gate_<modality>``, 0 where the modality is absent.
    """
    import pandas as pd

    def texts(parts: Iterable[Sequence[str]]) -> pd.Series:
        return pd.Series([value or None for part in parts for value in part], dtype=object)

    if not runs:
        return pd.DataFrame(columns=["run", "id", "right", "class"])
    columns = {
        "run": np.repeat(np.arange(len(runs)), [len(run.ids) for run in runs]),
        "id": texts(run.ids for run in runs),
        "right": np.concatenate([run.targets == run.predicted for run in runs]),
        "class": texts([class_names[target] for target in run.targets] for run in runs),
    }
    for name in dict.fromkeys(name for run in runs for name in run.attributes):
        columns[f"attr_{name}"] = texts(run.attributes.get(name, [""] * len(run.ids)) for run in runs)
    for name in dict.fromkeys(name for run in runs for name in run.gates):
        columns[f"gate_{name}"] = np.concatenate([run.gates.get(name, np.zeros(len(run.ids))) for run in runs])
    return pd.DataFrame(columns)


def accuracies(clips: "pd.DataFrame") -> dict[Group, tuple[int, float, float]]:
    """Return the accuracy on the clips of every group of people, by attribute and value, values in alphabetical order.

    Returns:
        Number of different clips; accuracy, the seeds of a clip weighing as one clip; half the width of its 95 % Wald
        interval.
    """
    found = {}
    for name in _columns(clips, "attr_"):
        for value, own in clips.groupby(f"attr_{name}"):
            means = own.groupby("id", sort=False)["right"].mean().to_numpy()
            half = 1.96 * float(np.std(means, ddof=1)) / np.sqrt(len(means)) if len(means) > 1 else np.nan
            found[name, str(value)] = len(means), float(means.mean()), half
    return found


def weights(clips: "pd.DataFrame", class_names: Sequence[str]) -> dict[Group, dict[str, Values]]:
    """Return the weights of every modality over all runs, by class and by every attribute's value.

    Returns:
        ``{(what, value): {modality: (N,)}}`` with "class" as the first what; clips where a modality is absent are left
        out of its weights.
    """
    order = {name: place for place, name in enumerate(class_names)}
    found = {}
    for what in ("class", *(f"attr_{name}" for name in _columns(clips, "attr_"))):
        of = {str(value): overall(own) for value, own in clips.groupby(what)}
        for value in sorted(of, key=lambda value: (order.get(value, 0), value)):
            found[what.removeprefix("attr_"), value] = of[value]
    return found


def adaptive(clips: "pd.DataFrame") -> bool:
    """Return whether weights differ from clip to clip, beyond what the modalities that are there make of them."""
    gates = [f"gate_{modality}" for modality in _columns(clips, "gate_")]
    if not gates:
        return False
    there = clips[gates].where(clips[gates] > 0).round(4)
    return bool((there.groupby(clips["run"]).nunique() > 4).any(axis=None))


def overall(clips: "pd.DataFrame") -> dict[str, Values]:
    """Return the weights of every modality over all clips that have it."""
    gates = {modality: clips[f"gate_{modality}"].to_numpy() for modality in _columns(clips, "gate_")}
    return {modality: weights[weights > 0] for modality, weights in gates.items()}


def _columns(clips: "pd.DataFrame", prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in clips if name.startswith(prefix)]


def heaviest(by: Mapping[str, Values]) -> str:
    """Return the modality with the greatest mean weight."""
    return max(by, key=lambda modality: float(by[modality].mean()) if len(by[modality]) else -1.0)


def bounds(modalities: int) -> tuple[float, float]:
    """Return the least and greatest weight that the softmax of sigmoids can give one of several modalities, k.

    Args:
        modalities: How many are there.

    Returns:
        ``1 / (1 + (k - 1) e)`` and ``e / (e + k - 1)``.

    Example:
        >>> [round(bound, 4) for bound in bounds(3)]
        [0.1554, 0.5761]
    """
    return 1 / (1 + (modalities - 1) * np.e), np.e / (np.e + modalities - 1)
