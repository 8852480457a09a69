"""A model's predictions for each clip of a test fold, classes and values, and their place in a run's folder.

A run's folder holds::

    predictions-<selection>.csv   id, group, target, p_<class>, ...; selection best, last or selected
    missing/<modality>-<rate>/predictions-<selection>.csv   the same under missing modalities, rate as 0.25
    missing/only_<modality>+<modality>-1.00/...             the same with these modalities alone
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.errors import DataError

_ONLY = "only_"
_OTHERS = ("gate_", "attr_")  # columns that some models and corpora have


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for the clips of a test fold, each clip once.

    Attributes:
        ids: Clip ids.
        groups: The unit of folds and of the bootstrap, one per clip.
        targets: ``(N,)`` class indices.
        predicted: ``(N,)`` class indices.
        probabilities: ``(N, K)``; None where only the decisions were kept.
        best: ``(N, 3)`` the most probable classes in order, where they were kept instead of many probabilities.
        gates: Weight ``(N,)`` by modality, where the model has gates.
        attributes: What is known of the clips: values in their order, by name.
        unlabelled: Number of further clips, which have no class.
    """

    ids: list[str]
    groups: list[str]
    targets: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None = None
    best: npt.NDArray[np.int64] | None = None
    gates: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    unlabelled: int = 0


def missing_predictions(directory: Path, modality: str, rate: float, selection: str) -> Path:
    """Return the file of a cell's predictions for a test fold from whose clips a modality is dropped at a rate."""
    return directory / "missing" / f"{modality}-{rate:.2f}" / f"predictions-{selection}.csv"


def subset_name(modalities: Iterable[str]) -> str:
    """Return the name that stands for all modalities but these in place of the one that goes missing."""
    return _ONLY + "+".join(modalities)


def subset_of(name: str) -> tuple[str, ...]:
    """Return the modalities that are left under a name of `subset_name`; none for the name of a modality."""
    return tuple(name.removeprefix(_ONLY).split("+")) if name.startswith(_ONLY) else ()


def most_probable(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the three most probable classes of every clip, int64 ``(N, 3)``; of equal ones the smaller index first."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :3]


def unfit(predictions: Predictions, classes: int) -> str:
    """Return what makes predictions impossible for a model of so many classes; empty if they are possible."""
    count = len(predictions.ids)
    lengths = {len(predictions.groups), len(predictions.targets), len(predictions.predicted)}
    lengths |= {len(of) for named in (predictions.gates, predictions.attributes) for of in named.values()}
    if not count:
        return "no rows"
    if lengths != {count}:
        return "columns of different length"
    if len(set(predictions.ids)) < count:
        return "a clip that comes twice"
    for name, values in (("target", predictions.targets), ("predicted class", predictions.predicted)):
        if values.ndim != 1 or values.min() < 0 or values.max() >= classes:
            return f"a {name} that is none of {classes} classes"
    if not all(np.isfinite(gate).all() for gate in predictions.gates.values()):
        return "a gate that is not finite"
    shares, best = predictions.probabilities, predictions.best
    if shares is not None and shares.shape != (count, classes):
        return f"probabilities of shape {shares.shape}"
    if shares is not None and not np.isfinite(shares).all():
        return "a probability is not finite"
    if shares is not None and abs(shares.sum(1) - 1).max() >= 1e-3:
        return "probabilities that do not add up to 1"
    if best is not None and (best.ndim != 2 or len(best) != count or best.min() < 0 or best.max() >= classes):
        return f"a class that is none of {classes}"
    return ""


def miscounted(result: Mapping[str, Any], predictions: Predictions) -> str:
    """Return how the number of clips in predictions differs from that of a result; empty if it does not."""
    found = len(predictions.ids) + predictions.unlabelled
    return "" if found == result["n_test"] else f"{found} clips, the result says n_test {result['n_test']}"


def clip_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a prediction file, a clip that a distributed sampler repeated once.

    Raises:
        OSError: If it cannot be read.
        ValueError: If a row has more or fewer cells than the header.
    """
    with path.open(newline="", encoding="utf-8") as file:
        first: dict[str, dict[str, str]] = {}
        for line, row in enumerate(csv.DictReader(file), start=2):
            if None in row or None in row.values():
                raise ValueError(f"line {line} has another number of cells")
            first.setdefault(row["id"], row)
    return list(first.values())


def read_predictions(path: Path, class_names: list[str]) -> Predictions:
    """Read a prediction file; a clip that a distributed sampler repeated is kept once.

    Args:
        path: CSV with columns id, group, target and ``p_<class>`` per class; ``gate_<modality>`` and ``attr_<name>``
            where there are any.
        class_names: Names of the classes in order of their index.

    Returns:
        The predictions, clips in order of first appearance.

    Raises:
        DataError: If a column is missing, a cell is no number, or the values are no predictions.
    """
    columns = [f"p_{name}" for name in class_names]
    try:
        clips = clip_rows(path)
        rows = [row for row in clips if row["target"]]  # others have labels of another task alone
        probabilities = np.array([[float(row[name]) for name in columns] for row in rows]).reshape(-1, len(columns))
        targets = np.array([int(row["target"]) for row in rows], dtype=np.int64)
        groups = [row["group"] for row in rows]
        others = {prefix: [name for name in rows[0] if name.startswith(prefix)] if rows else [] for prefix in _OTHERS}
        gates = {name.removeprefix("gate_"): np.array([float(row[name]) for row in rows]) for name in others["gate_"]}
        attributes = {name.removeprefix("attr_"): [row[name] for row in rows] for name in others["attr_"]}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path}: expected columns id, group, target, {', '.join(columns)} ({error})") from error
    ids, predicted, unlabelled = [row["id"] for row in rows], probabilities.argmax(1), len(clips) - len(rows)
    found = Predictions(ids, groups, targets, predicted, probabilities, None, gates, attributes, unlabelled)
    if wrong := unfit(found, len(class_names)):
        raise DataError(f"{path}: {wrong}; run the cell again")
    return found


@dataclass(frozen=True)
class Values:
    """Predictions of one value for the clips that have a label, each clip once.

    Attributes:
        ids: Clip ids.
        groups: The unit of folds and of the bootstrap, one per clip.
        targets: ``(N,)``, in the unit of the label.
        predicted: ``(N,)``, likewise.
        unlabelled: Number of further clips, which have no label.
    """

    ids: list[str]
    groups: list[str]
    targets: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    unlabelled: int = 0


def read_values(path: Path, task: str) -> Values:
    """Read the predictions of a value; a clip that a distributed sampler repeated is kept once.

    Args:
        path: CSV with columns id, group, ``target_<task>``, empty without a label, and ``pred_<task>``.
        task: Name of the value.

    Returns:
        The predictions, clips in order of first appearance; of no clips where none has a label.

    Raises:
        DataError: If a column is missing, or a cell is no finite number.
    """
    true, said = f"target_{task}", f"pred_{task}"
    try:
        clips = clip_rows(path)
        rows = [row for row in clips if row[true]]
        found = np.array([[float(row[true]), float(row[said])] for row in rows]).reshape(-1, 2)
        if not np.isfinite(found).all():
            raise ValueError("a value is not finite")
        groups = [row["group"] for row in rows]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path}: expected columns id, group, {true}, {said} ({error}); run it again") from error
    return Values([row["id"] for row in rows], groups, found[:, 0], found[:, 1], len(clips) - len(rows))
