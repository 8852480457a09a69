"""The evaluation of every paper's model: one table of its outputs for the clips, and the metrics of that table."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.nn.metrics import PredictionTable, class_scores, each, table_metrics
from lightning_modules.nn.sentiment_metrics import sentiment_scores
from lightning_modules.nn.stages import StagedModule

Batch = dict[str, Any]


def _on_cpu(values: Tensor) -> Tensor:
    return values.detach().cpu() if values.dtype == torch.int64 else values.detach().float().cpu()


class ScoredModule(StagedModule):
    """A model that is validated, tested and asked for predictions on whole tables, never on batches.

    Args:
        *arguments: Those of `StagedModule`.

    Attributes:
        predictions: Outputs of the last evaluation.
        tasks: Number of classes by task, 0 for a value; none where the output is one set of classes.
        select_by: Metric that selects the epoch.
    """

    tasks: dict[str, int]
    select_by: str

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.predictions = PredictionTable()
        self._parts: list[PredictionTable] = []

    @abstractmethod
    def task_loss(self, logits: Any, target: Any) -> Tensor:
        """Return the loss of an output by itself."""

    def selection_score(self, metrics: dict[str, float]) -> float:
        """Return the metric that selects the best epoch, higher is better; ties are broken by the lower loss.

        Args:
            metrics: Of one evaluation.

        Returns:
            ``select_by``'s metric; of several tasks the mean of it and of the concordance of every value, of those
            that clips are labelled for.
        """
        if not self.tasks:
            return metrics[self.select_by]
        names = [self.select_by if classes else f"ccc_{task}" for task, classes in self.tasks.items()]
        parts = [metrics[name] for name in names if name in metrics]
        return sum(parts) / max(len(parts), 1)

    def gate_names(self) -> list[str]:
        """Return what the columns of ``aux["gate"]`` are, where its weights per clip are worth keeping."""
        return []

    def _collect(self, batch: Batch) -> dict[str, Any]:
        output: dict[str, Any] = self(batch)
        table = PredictionTable(
            batch["id"],
            batch["group"],
            each(output["logits"], _on_cpu),
            each(batch.get("target", torch.empty(0)), _on_cpu),
            self._weights(output.get("aux", {})),
        )
        self._parts.append(table)
        return output

    def _weights(self, aux: dict[str, Any]) -> dict[str, Tensor]:
        names = self.gate_names()
        columns = {f"gate_{name}": aux["gate"][:, place] for place, name in enumerate(names)}
        if names and "abstain" in aux:
            columns["abstain"] = aux["abstain"]
        return {name: values.detach().float().cpu() for name, values in columns.items()}

    def _finish_table(self) -> PredictionTable:
        self.predictions, self._parts = PredictionTable.concatenate(self._parts).gathered(), []
        self.predictions.require_finite()
        return self.predictions

    def _log_evaluation(self, prefix: str, data: Any = None) -> None:
        table = self._finish_table()
        metrics = table_metrics(table) | sentiment_scores(table.values, getattr(data, "outputs", {}))
        loss = self.task_loss(*(each(of, self._to_device) for of in (table.logits, table.target))).item()
        if prefix == "val":
            # On a few hundred clips several epochs share the top accuracy; 0.5 / N is less than one clip's worth. Of
            # several tasks the accuracy is one share; values alone have no ties.
            worth = 0.5 / len(table.ids) / max(len(self.tasks), 1) if table.scores.shape[1:] != (0,) else 0.0
            metrics["score"] = self.selection_score(metrics) + worth * float(np.exp(-loss))
        for source, part in table.sources.items() if getattr(data, "ids_name_corpora", True) else ():
            metrics |= {f"{name}_{source}": value for name, value in table_metrics(part).items()}
        self.log_dict({f"{prefix}_{name}": value for name, value in {"loss": loss, **metrics}.items()})

    def _to_device(self, values: Tensor) -> Tensor:
        return values.to(self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the batch into the table."""
        self._collect(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the batch into the table."""
        self._collect(batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the scores of the batch's clips.

        Returns:
            ``id``, ``probabilities`` ``(B, K)``, of values ``values`` ``(B,)`` by task and, where the model has one,
            ``embedding`` ``(B, D)``.
        """
        output = self._collect(batch)
        logits = output["logits"]
        result = {"id": batch["id"], "probabilities": class_scores(logits).softmax(1)}
        if isinstance(logits, dict):
            result["values"] = {task: value for task, value in logits.items() if value.ndim == 1}
        embedding = output.get("aux", {}).get("embedding")
        return result if embedding is None else {**result, "embedding": embedding}

    def on_validation_epoch_start(self) -> None:
        """Start an empty table."""
        self._parts = []

    def on_test_epoch_start(self) -> None:
        """Start an empty table."""
        self._parts = []

    def on_predict_epoch_start(self) -> None:
        """Start an empty table."""
        self._parts = []

    def on_validation_epoch_end(self) -> None:
        """Log ``val_loss``, ``val_accuracy``, ``val_uar``, ``val_f1``, those of values, and ``val_score``."""
        self._log_evaluation("val", getattr(self.trainer, "datamodule", None))

    def on_test_epoch_end(self) -> None:
        """Log the same metrics as ``test_*``."""
        self._log_evaluation("test", getattr(self.trainer, "datamodule", None))

    def on_predict_epoch_end(self) -> None:
        """Complete the table for the callbacks that write it."""
        self._finish_table()
