"""What a cell says of clips of another corpus, over the classes that both have, and where it lies in the cell's folder.

``across/<corpus>/predictions.csv`` is as of a test: id, group, target, one probability per class. ``evaluation.json``,
written last, holds what was asked, the classes, and how many clips were left out, by class.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from datamodules.errors import DataError

FOLDER, PREDICTIONS, ABOUT = "across", "predictions.csv", "evaluation.json"
Columns = dict[str, list[int]]  # by shared class: its indices among the classes of a corpus


@dataclass(frozen=True)
class LabelMap:
    """Which class of one corpus is which of another.

    Attributes:
        between: The two corpora.
        classes: Of every class of the first, its counterpart in the second, where several may be one; None without.
        where: What says so, for messages.
    """

    between: tuple[str, str]
    classes: dict[str, str | None] = field(default_factory=dict)
    where: str = ""

    def columns(self, corpus: str, names: list[str]) -> Columns:
        """Return the shared classes, by the names of the second corpus, as indices among those of one of the two.

        Args:
            corpus: Which.
            names: Its classes.

        Raises:
            DataError: They are not those that the map speaks of.
        """
        first = corpus == self.between[0]
        shared = dict.fromkeys(name for name in self.classes.values() if name is not None)
        unknown = (set(self.classes) if first else set(shared)) - set(names)
        untold = set(names) - set(self.classes) if first else set()
        for wrong, what in ((unknown, "is no class of"), (untold, "is not mapped, to null where it has no match, of")):
            if wrong:
                raise DataError(f"{self.where}: {min(wrong)} {what} {corpus}; its classes are {', '.join(names)}")
        if not first:
            return {name: [names.index(name)] for name in shared}
        return {name: [names.index(own) for own, other in self.classes.items() if other == name] for name in shared}


def shared_labels(labels: npt.NDArray[np.int64], columns: Columns) -> npt.NDArray[np.int64]:
    """Return class indices among the shared classes, ``(N,)``; -1 where there is no counterpart."""
    found = np.full(len(labels), -1)
    for place, own in enumerate(columns.values()):
        found[np.isin(labels, own)] = place
    return found


def shared_probabilities(probabilities: npt.NDArray[np.float64], columns: Columns) -> npt.NDArray[np.float64]:
    """Return probabilities of the shared classes ``(N, K)``: of several that are one their sum; made to add up to 1."""
    found = np.stack([probabilities[:, own].sum(1) for own in columns.values()], 1)
    total = found.sum(1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1), 1 / found.shape[1])
