"""Features of every speaker centred and scaled by all clips of that speaker, whichever split they are in.

No label is read, but the clips of the test are: whatever is shown of such a run is stamped TRANSDUCTIVE.
"""

from collections.abc import Callable, Sequence

import numpy as np

from datamodules.errors import DataError
from error_texts import first_names

OPTION = "--data.normalize speaker"
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
            f"{OPTION}: at least two clips of everyone are needed, and there is one of {first_names(alone)}; leave the "
            "option out, or name the speakers of the clips"
        )
    return rows


def refuse_to_standardize(modality: str, what: str) -> DataError:
    """Return the error about a modality that has no features to standardise."""
    return DataError(
        f"{OPTION}: {modality} is {what}; it standardises features alone: read only these, or leave it out"
    )


class SpeakerScaling:
    """Mean and deviation of the features of every speaker, over all steps of all of their clips.

    Steps whose features are all 0 (after the end, without a face, absent) hold nothing: they do not count and stay 0.

    Args:
        groups: Speaker of every clip.
        there: Which clips have the array, bool ``(N,)``.
        read: Returns the array of a clip.
        axes: Which of its axes are steps; the others are features.

    Raises:
        DataError: A speaker has a single clip.
    """

    def __init__(
        self, groups: Sequence[str], there: np.ndarray, read: Callable[[int], np.ndarray], axes: tuple[int, ...]
    ) -> None:
        self.axes = axes
        self.speaker = np.zeros(len(groups), np.int64)
        known, found = np.flatnonzero(there), []
        for number, rows in enumerate(clips_of_speakers(np.array(groups)[known])):
            self.speaker[known[rows]] = number
            found.append(self._statistics([read(row) for row in known[rows]]))
        self.means, self.scales = (np.stack(values) for values in zip(*found, strict=True))

    def _statistics(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        held = [self._held(array, self.axes) for array in arrays]
        count = np.maximum(sum(steps.sum(self.axes, keepdims=True) for steps in held), 1)
        mean = sum(array.sum(self.axes, np.float64, keepdims=True) for array in arrays) / count
        squares = (np.square((array - mean) * steps) for array, steps in zip(arrays, held, strict=True))
        deviation = np.sqrt(sum(square.sum(self.axes, keepdims=True) for square in squares) / count)
        return mean, np.where(deviation > _LEAST * np.abs(mean), deviation, 1)

    @staticmethod
    def _held(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        features = tuple(axis for axis in range(values.ndim) if axis not in axes)
        return np.asarray(values.any(features, keepdims=True))

    def apply(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return arrays of clips standardised, float32 ``(B, ...)``.

        Args:
            values: ``(B, ...)``, with zeros after the end of a short clip.
            rows: Which clips they are, ``(B,)``.
        """
        of = self.speaker[rows]
        held = self._held(values, (0, *(axis + 1 for axis in self.axes)))
        return np.asarray((values - self.means[of]) / self.scales[of] * held, np.float32)
