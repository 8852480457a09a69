"""The prediction table and the classification metrics computed on it.

Folds of small corpora hold a few hundred clips: metrics averaged over batches, padded by a distributed sampler or
pulled down by classes that the fold does not hold would be visible. So evaluation collects every clip's logits, drops
duplicates by clip id, and computes each metric once on the whole table.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.distributed
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)
from torchmetrics.functional.regression import (
    concordance_corrcoef,
    mean_absolute_error,
    mean_squared_error,
    pearson_corrcoef,
)

from error_texts import first_names
from lightning_modules.errors import ScoresNotFinite

Scores = Tensor | dict[str, Tensor]


def each(values: Scores, change: Callable[[Tensor], Tensor]) -> Scores:
    """Return what a function makes of an output, or of every task of one by task."""
    return {task: change(value) for task, value in values.items()} if isinstance(values, dict) else change(values)


def class_task(logits: Scores) -> str | None:
    """Return the name of the task of classes of an output by task, the one of two dimensions; None without one."""
    named = logits.items() if isinstance(logits, dict) else ()
    return next((task for task, value in named if value.ndim == 2), None)


def class_scores(logits: Scores) -> Tensor:
    """Return the class scores ``(N, K)`` of an output; of one that has values alone ``(N, 0)``."""
    if isinstance(logits, Tensor):
        return logits
    task, first = class_task(logits), next(iter(logits.values()))
    return first.new_empty(len(first), 0) if task is None else logits[task]


def class_labels(logits: Scores, target: Scores) -> Tensor:
    """Return the class indices ``(N,)`` of a target; the most probable class of a soft one, -1 where there is no label.

    Args:
        logits: The output, which says what task has classes.
        target: Class indices, soft targets ``(N, K)`` with NaN where there is no label, or a dict of them by task.

    Returns:
        int64 ``(N,)``, empty without targets.
    """
    if isinstance(target, dict):
        task = class_task(logits)
        if task is None and isinstance(logits, dict):
            first = next(iter(logits.values()))
            return first.new_full((len(first),), -1, dtype=torch.int64)
        target = target.get(task or "", torch.empty(0))
    if target.ndim < 2:
        return target.long()
    return target.argmax(1).where(~target.isnan().any(1), -1)


@dataclass
class PredictionTable:
    """Outputs of a model for the clips so far (contract 2), with their targets (contract 1).

    Attributes:
        ids: Clip ids.
        groups: The unit of folds and of the bootstrap (the speaker), one per clip.
        logits: ``(N, K)`` class scores, or those and values ``(N,)`` by task; float32 on the CPU.
        target: ``(N,)`` class indices or ``(N, K)`` soft targets, or a dict by task; empty when predicting without
            labels.
        weights: Other columns worth keeping, ``(N,)`` each: what a model's gates gave each modality.
    """

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    logits: Scores = field(default_factory=lambda: torch.empty(0))
    target: Scores = field(default_factory=lambda: torch.empty(0))
    weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def concatenate(cls, parts: "list[PredictionTable]") -> "PredictionTable":
        """Join tables; a clip that appears twice is kept once.

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

        def joined(values: list[Scores]) -> Scores:
            if isinstance(values[0], dict):
                tasks = {task: [value[task] for value in values] for task in values[0]}  # type: ignore[index]
                return {task: torch.cat(found)[first] for task, found in tasks.items()}
            whole = torch.cat(values)  # type: ignore[arg-type]
            return whole[first] if len(whole) else whole

        return cls(
            [ids[row] for row in first],
            [groups[row] for row in first],
            joined([part.logits for part in parts]),
            joined([part.target for part in parts]),
            {name: torch.cat([part.weights[name] for part in parts])[first] for name in parts[0].weights},
        )

    def gathered(self) -> "PredictionTable":
        """Return the tables of all ranks as one, in order of rank; this table itself outside distributed runs."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self
        parts: list[PredictionTable] = [self] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self)
        return self.concatenate(parts)

    @property
    def scores(self) -> Tensor:
        """Class scores ``(N, K)``; ``(N, 0)`` where there are values alone."""
        return class_scores(self.logits)

    @property
    def labels(self) -> Tensor:
        """Class indices ``(N,)``; for soft targets the most probable class, -1 where a clip has none."""
        return class_labels(self.logits, self.target)

    @property
    def values(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Predicted and true values ``(N,)`` of the tasks without classes, NaN where a clip has no label."""
        if not isinstance(self.logits, dict):
            return {}
        target = self.target if isinstance(self.target, dict) else {}
        nothing = torch.full((len(self.ids),), torch.nan)
        return {task: (said, target.get(task, nothing)) for task, said in self.logits.items() if said.ndim == 1}

    def rows(self, wanted: Tensor) -> "PredictionTable":
        """Return the table of some of the clips, wanted being bool ``(N,)``."""

        def select(values: Tensor) -> Tensor:
            return values[wanted] if len(values) else values

        kept = wanted.tolist()
        ids, groups = (
            [name for name, keep in zip(names, kept, strict=True) if keep] for names in (self.ids, self.groups)
        )
        weights = {name: values[wanted] for name, values in self.weights.items()}
        return PredictionTable(ids, groups, each(self.logits, select), each(self.target, select), weights)

    def require_finite(self) -> None:
        """Refuse scores, values and weights that are no numbers.

        Raises:
            ScoresNotFinite: If those of a clip are not finite.
        """
        said = [*(self.logits.values() if isinstance(self.logits, dict) else [self.logits]), *self.weights.values()]
        finite = [values.isfinite().reshape(len(values), -1).all(1) for values in said if len(values)]
        whole = torch.stack(finite).all(0).tolist() if finite else []
        if broken := [clip for clip, good in zip(self.ids, whole, strict=True) if not good]:
            raise ScoresNotFinite(
                f"the scores of {len(broken)} of {len(self.ids)} clips are not finite ({first_names(broken, 5)}); "
                "look at these clips and at the checkpoint's weights, and train again with a lower learning rate"
            )

    @property
    def sources(self) -> dict[str, "PredictionTable"]:
        """The table of each corpus, where clips of several were scored together: ids are ``<corpus>/<clip>`` there."""
        names = [clip.partition("/")[0] if "/" in clip else "" for clip in self.ids]
        found = sorted(set(names))
        return (
            {name: self.rows(torch.tensor([own == name for own in names])) for name in found} if len(found) > 1 else {}
        )


def table_metrics(table: PredictionTable) -> dict[str, float]:
    """Return every metric of a table: those of its classes, and of each task without classes the error and agreement.

    Returns:
        `classification_metrics` over the clips with a class label, and those of `value_metrics` as ``<metric>_<task>``
        over the clips with that label; what no two clips are labelled for is left out.
    """
    metrics: dict[str, float] = {}
    labelled = table.labels >= 0
    if labelled.any():
        metrics |= classification_metrics(table.scores[labelled], table.labels[labelled])
    for task, (said, true) in table.values.items():
        known = ~true.isnan()
        if known.sum() > 1:
            metrics |= {f"{name}_{task}": value for name, value in value_metrics(said[known], true[known]).items()}
    return metrics


def constant(values: Tensor) -> bool:
    """Return whether all values are the same one, so that nothing can correlate with them."""
    return bool((values == values[:1]).all())


def value_metrics(predicted: Tensor, target: Tensor) -> dict[str, float]:
    """Return errors and agreement of one table of values.

    Args:
        predicted: ``(N,)``, finite, N at least 2.
        target: ``(N,)``, finite.

    Returns:
        ``mae`` and ``rmse`` in the unit of the label, ``pearson`` and ``ccc``, Lin's concordance correlation
        coefficient. Both are 0 where the predictions or the labels are all the same: they say nothing about each other.

    Example:
        >>> value_metrics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 3.0, 4.0]))["mae"]
        1.0
    """
    found = {
        "mae": mean_absolute_error(predicted, target).item(),
        "rmse": mean_squared_error(predicted, target, squared=False).item(),
        "pearson": 0.0,
        "ccc": 0.0,
    }
    if not constant(predicted) and not constant(target):
        # Neither depends on the unit. torchmetrics doubts variances that are small as numbers.
        middle, size = target.double().mean(), target.double().std()
        said, true = ((of.double() - middle) / size for of in (predicted, target))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # predictions that hardly differ are a finding, and no fault of the numbers
            found["pearson"] = float(pearson_corrcoef(said, true).nan_to_num())
            found["ccc"] = float(concordance_corrcoef(said, true).nan_to_num())
    return found


def classification_metrics(logits: Tensor, target: Tensor) -> dict[str, float]:
    """Return accuracy, unweighted average recall, macro precision and macro F1 of one table of predictions.

    The macro averages run over the classes present in ``target``: a class that a small fold does not hold says
    nothing about the model (scikit-learn's ``balanced_accuracy_score`` is defined the same way).

    Args:
        logits: ``(N, K)`` scores.
        target: ``(N,)`` class indices.

    Returns:
        ``accuracy``, ``uar``, ``precision``, ``f1`` and, of more than so many classes, ``top2``, ``top3`` and ``top4``:
        the share of clips whose class is among that many most probable ones; each between 0 and 1.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
        >>> classification_metrics(logits, torch.tensor([0, 0, 1]))["uar"]
        0.75
    """
    classes = logits.shape[1]
    predicted, present = logits.argmax(1), torch.unique(target)
    recall = multiclass_recall(predicted, target, classes, average=None)
    precision = multiclass_precision(predicted, target, classes, average=None)
    f1 = multiclass_f1_score(predicted, target, classes, average=None)
    metrics = {
        "accuracy": multiclass_accuracy(predicted, target, classes, average="micro").item(),
        "uar": recall[present].mean().item(),
        "precision": precision[present].mean().item(),
        "f1": f1[present].mean().item(),
    }
    for k in (2, 3, 4):
        if classes > k:
            metrics[f"top{k}"] = (logits.topk(k).indices == target[:, None]).any(1).float().mean().item()
    return metrics
