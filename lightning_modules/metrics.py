"""The prediction table and the classification metrics computed on it.

Folds of small corpora hold a few hundred clips: metrics averaged over batches, padded by a distributed sampler or
pulled down by classes that the fold does not hold would be visible. So evaluation collects every clip's logits, drops
duplicates by clip id, and computes each metric once on the whole table.
"""

from dataclasses import dataclass, field

import torch
import torch.distributed
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_recall,
)


@dataclass
class PredictionTable:
    """Logits and targets of the clips seen so far.

    Attributes:
        ids: Clip ids.
        groups: The unit of folds and of the bootstrap (the speaker), one per clip.
        logits: ``(N, K)`` float32 on the CPU.
        target: ``(N,)`` class indices or ``(N, K)`` soft targets; empty when predicting without labels.
    """

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    target: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def concatenate(cls, parts: "list[PredictionTable]") -> "PredictionTable":
        """Joins tables; a clip that appears twice is kept once.

        Args:
            parts: Tables of batches or of the ranks of a distributed run.

        Returns:
            One table, each clip once, in order of first appearance.
        """
        if not parts:
            return cls()
        ids = [clip for part in parts for clip in part.ids]
        groups = [group for part in parts for group in part.groups]
        rows: dict[str, int] = {}
        for row, clip in enumerate(ids):
            rows.setdefault(clip, row)
        first = list(rows.values())
        logits, target = (torch.cat([getattr(part, name) for part in parts]) for name in ("logits", "target"))
        return cls(
            [ids[row] for row in first],
            [groups[row] for row in first],
            logits[first],
            target[first] if len(target) else target,
        )

    def gathered(self) -> "PredictionTable":
        """The tables of all ranks as one, in order of rank; this table itself outside distributed runs."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self
        parts: list[PredictionTable] = [self] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self)
        return self.concatenate(parts)

    @property
    def labels(self) -> Tensor:
        """Class indices ``(N,)``; for soft targets the most probable class."""
        return self.target.argmax(1) if self.target.ndim == 2 else self.target


def classification_metrics(logits: Tensor, target: Tensor) -> dict[str, float]:
    """Accuracy, unweighted average recall and macro F1 of one table of predictions.

    The macro averages run over the classes present in ``target``: a class that a small fold does not hold says
    nothing about the model (scikit-learn's ``balanced_accuracy_score`` is defined the same way).

    Args:
        logits: ``(N, K)`` scores.
        target: ``(N,)`` class indices.

    Returns:
        ``accuracy``, ``uar`` and ``f1``, each between 0 and 1.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
        >>> classification_metrics(logits, torch.tensor([0, 0, 1]))["uar"]
        0.75
    """
    classes = logits.shape[1]
    predicted, present = logits.argmax(1), torch.unique(target)
    recall = multiclass_recall(predicted, target, classes, average=None)
    f1 = multiclass_f1_score(predicted, target, classes, average=None)
    return {
        "accuracy": multiclass_accuracy(predicted, target, classes, average="micro").item(),
        "uar": recall[present].mean().item(),
        "f1": f1[present].mean().item(),
    }
