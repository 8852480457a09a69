"""A model's predictions of values (valence, a score) for each clip of a test fold."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.errors import DataError
from experiments.results.predictions import clip_rows


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
