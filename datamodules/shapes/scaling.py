"""Features centred and scaled: by the training clips, or those of every speaker by all clips of that speaker.

No label is read. By speakers the clips of the test are: whatever is shown of such a run is stamped TRANSDUCTIVE.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from datamodules.errors import DataError
from error_texts import first_names

BY_SPEAKER, BY_TRAINING = "--data.normalize speaker", "--data.standardize"
_LEAST = 1e-7  # of the mean: a deviation below it is what rounding leaves of a constant


def clips_of_speakers(groups: Sequence[str] | np.ndarray) -> list[np.ndarray]:
    """Return the rows of the clips of each speaker.

    Args:
        groups: Speaker of every clip.

    Raises:
        DataError: One has a single clip, of which standardising would leave nothing.
    """
    names, of = np.unique(np.array(groups), return_inverse=True)
    rows = [np.flatnonzero(of == number) for number in range(len(names))]
    if alone := [str(name) for name, own in zip(names, rows, strict=True) if len(own) < 2]:
        raise DataError(
            f"{BY_SPEAKER}: at least two clips of everyone are needed, and there is one of {first_names(alone)}; leave "
            "the option out, or name the speakers of the clips"
        )
    return rows


def refuse_to_standardize(modality: str, what: str, option: str = BY_SPEAKER) -> DataError:
    """Return the error about a modality that has no features to standardise."""
    return DataError(
        f"{option}: {modality} is {what}; it standardises features alone: read only these, or leave it out"
    )


class Scaling:
    """Mean and deviation of features over all steps of some clips, by which these clips, or all, are standardised.

    Steps whose features are all 0 (after the end, without a face, absent) hold nothing: they do not count and stay 0.

    Args:
        means: Of ``G`` sets of clips, float64 ``(G, ...)`` with 1 for the axes of steps.
        scales: Their deviations; 1 for what is constant.
        axes: Which axes of a clip's array are steps; the others are features.
        of: By which set each clip is scaled, ``(N,)``; all by the first where not given.
    """

    def __init__(
        self, means: np.ndarray, scales: np.ndarray, axes: tuple[int, ...], of: np.ndarray | None = None
    ) -> None:
        self.means, self.scales, self.axes, self.of = means, scales, axes, of

    @classmethod
    def of_speakers(
        cls, groups: Sequence[str], there: np.ndarray, read: Callable[[int], np.ndarray], axes: tuple[int, ...]
    ) -> "Scaling":
        """Return that of every speaker.

        Args:
            groups: Speaker of every clip.
            there: Which clips have the array, bool ``(N,)``.
            read: Returns the array of a clip.
            axes: Which of its axes are steps.

        Raises:
            DataError: A speaker has a single clip.
        """
        of, found = np.zeros(len(groups), np.int64), []
        known = np.flatnonzero(there)
        for number, rows in enumerate(clips_of_speakers(np.array(groups)[known])):
            of[known[rows]] = number
            found.append(_statistics(known[rows], read, axes))
        means, scales = (np.stack(values) for values in zip(*found, strict=True))
        return cls(means, scales, axes, of)

    @classmethod
    def of_clips(cls, rows: np.ndarray, read: Callable[[int], np.ndarray], axes: tuple[int, ...]) -> "Scaling":
        """Return that of some clips, at least one, by which all are scaled."""
        mean, scale = _statistics(rows, read, axes)
        return cls(mean[None], scale[None], axes)

    @classmethod
    def of_plain(cls, plain: Any, shape: Sequence[int], axes: tuple[int, ...]) -> "Scaling":
        """Return that which `plain` gave, of anybody.

        Args:
            plain: Mean and deviation as nested lists.
            shape: Of a clip's array.
            axes: Which of its axes are steps.

        Raises:
            DataError: They do not fit, or are no numbers to divide by.
        """
        wanted = (2, 1, *(1 if axis in axes else size for axis, size in enumerate(shape)))
        if (values := known_statistics(plain)).shape != wanted:
            raise DataError(f"its statistics are damaged: of shape {values.shape}, where {wanted} fits its arrays")
        return cls(values[0], values[1], axes)

    @property
    def plain(self) -> list[Any]:
        """Mean and deviation as nested lists."""
        return [self.means.tolist(), self.scales.tolist()]

    def apply(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return arrays of clips standardised, float32 ``(B, ...)``.

        Args:
            values: ``(B, ...)``, with zeros after the end of a short clip.
            rows: Which clips they are, ``(B,)``.
        """
        of = np.zeros(len(rows), np.int64) if self.of is None else self.of[rows]
        held = _held(values, (0, *(axis + 1 for axis in self.axes)))
        return np.asarray((values - self.means[of]) / self.scales[of] * held, np.float32)


def known_statistics(plain: Any) -> np.ndarray:
    """Return mean and deviation of anybody, float64 ``(2, 1, ...)``.

    Raises:
        DataError: They are no numbers, or none to divide by.
    """
    try:
        values = np.array(plain, np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0)
    if values.ndim < 2 or len(values) != 2 or not np.isfinite(values).all() or not (values[1] > 0).all():
        raise DataError("its statistics are damaged: no finite means, or no deviations above 0")
    return values


def _statistics(
    rows: np.ndarray, read: Callable[[int], np.ndarray], axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    count, total, square = np.zeros(()), np.zeros(()), np.zeros(())
    for array in map(read, rows):  # each is read twice: all of them may not fit into memory
        count = count + _held(array, axes).sum(axes, keepdims=True)
        total = total + array.sum(axes, np.float64, keepdims=True)
    mean = total / np.maximum(count, 1)
    for array in map(read, rows):
        square = square + np.square((array - mean) * _held(array, axes)).sum(axes, keepdims=True)
    deviation = np.sqrt(square / np.maximum(count, 1))
    return mean, np.where(deviation > _LEAST * np.abs(mean), deviation, 1)


def _held(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    features = tuple(axis for axis in range(values.ndim) if axis not in axes)
    return np.asarray(values.any(features, keepdims=True))
