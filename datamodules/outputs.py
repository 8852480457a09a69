"""What a model of some data has to say: classes, values, or both, and how the training labels are distributed."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.errors import DataError


def meanings(outputs: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return kind and classes by task: what two descriptions of outputs must have in common."""
    return {task: (of.get("kind"), of.get("classes")) for task, of in outputs.items()}


class OutputsOfData(ABC):
    """The labels of a DataModule, as a model's outputs; a corpus defines `class_names` and `train_labels`."""

    root: str
    class_weighting: Literal["none", "balanced"]

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """Names of the classes in order of their index; none where there are values alone."""

    @property
    @abstractmethod
    def train_labels(self) -> np.ndarray:
        """Class indices ``(N,)`` of the training clips of this fold and protocol; -1 where a clip has none."""

    @property
    def tasks(self) -> dict[str, int]:
        """Number of classes by task, 0 for a value, in order of a model's outputs, classes first.

        Empty where the target is one set of classes, hard or soft; otherwise ``batch["target"]`` is a dict by task.
        """
        return {}

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Meaning of each output as plain values, by task (contract 7).

        ``{"kind": "classes" | "soft", "classes": [...]}``, or ``{"kind": "value", "unit": "", "range": [low, high]}``
        with None for a range that nobody stated.
        """
        return {"class": {"kind": "classes", "classes": self.class_names}}

    @property
    def train_values(self) -> dict[str, np.ndarray]:
        """Labels ``(N,)`` of the training clips by task, of every value; NaN where there is none."""
        return {}

    @property
    def value_scales(self) -> dict[str, list[float]]:
        """Mean and standard deviation of the training labels of every value; 1 for one that never differs.

        Raises:
            DataError: A value has no training label.
        """
        scales = {}
        for task, values in self.train_values.items():
            known = values[~np.isnan(values)].astype(np.float64)
            if not len(known):
                raise DataError(f"{self.root}: no training clip has a value of {task}; leave it out, or label some")
            scales[task] = [float(known.mean()), float(known.std()) if np.ptp(known) else 1.0]
        return scales

    @property
    def num_outputs(self) -> int:
        """Number of a model's outputs: one per class and one per value."""
        values = sum(not classes for classes in self.tasks.values())
        return (self.num_classes if self.class_names or not values else 0) + values

    @property
    def num_classes(self) -> int:
        """Number of classes.

        Raises:
            DataError: There is only one, so that there is nothing to learn.
        """
        names = self.class_names
        if len(names) < 2:
            raise DataError(f"{self.root}: one class alone ({', '.join(names)}); a model needs clips of two at least")
        return len(names)

    def warn_of_one_class(self) -> None:
        """Warn where every training clip is of one class, from which a model can learn nothing."""
        labels = self.train_labels
        found = np.unique(labels[labels >= 0])
        if len(found) == 1:
            name = self.class_names[int(found[0])]
            rank_zero_warn(f"{self.root}: every training clip is of the class {name}: what is scored tells nothing")

    @property
    def class_weights(self) -> list[float] | None:
        """Inverse class frequency in train, mean 1 over the clips; None unless requested."""
        if self.class_weighting == "none":
            return None
        if not self.class_names:
            raise DataError(f"--data.class_weighting {self.class_weighting}: there are values alone; leave it out")
        labels = self.train_labels
        counts = np.bincount(labels[labels >= 0], minlength=self.num_classes)
        return [float(counts.sum() / (np.count_nonzero(counts) * count)) if count else 0.0 for count in counts]
