"""One row per clip: the file that every reported number is computed from."""

import csv
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from atomic_files import replacing
from lightning_modules.base import EmotionTask
from tensor_files import save_torch


def write_predictions(
    path: Path, task: EmotionTask, class_names: list[str], attributes: dict[str, dict[str, str]] | None = None
) -> None:
    """Write the task's last prediction table as CSV (contract 5).

    Columns: id, group, target (class index; empty without a label, or where there are values alone), ``p_<class>`` with
    the class probabilities, of every value ``target_<task>`` (empty without a label) and ``pred_<task>``, both in the
    unit of the label, ``gate_<modality>`` where a model weighs modalities, and ``attr_<name>`` of what is known of a
    clip.

    Args:
        path: File to write; it appears whole or not at all.
        task: The model after a test or predict run.
        class_names: Names in order of the class index.
        attributes: Value by name, by clip.
    """
    table = task.predictions
    probabilities = table.scores.double().softmax(1).tolist()
    labels = table.labels.tolist() if len(table.labels) else [-1] * len(table.ids)
    columns: dict[str, list[Any]] = {"target": ["" if label < 0 else label for label in labels]}
    columns |= {f"p_{name}": [f"{p[k]:.6g}" for p in probabilities] for k, name in enumerate(class_names)}
    for name, (predicted, true) in table.values.items():
        columns[f"target_{name}"] = ["" if value != value else f"{value:.6g}" for value in true.tolist()]
        columns[f"pred_{name}"] = [f"{value:.6g}" for value in predicted.tolist()]
    columns |= {name: [f"{value:.6g}" for value in of.tolist()] for name, of in table.weights.items()}
    known = [(attributes or {}).get(clip, {}) for clip in table.ids]
    for name in dict.fromkeys(name for of in known for name in of):
        columns[f"attr_{name}"] = [of.get(name, "") for of in known]
    write_rows(path, table.ids, table.groups, columns)


def write_rows(path: Path, ids: list[str], groups: list[str], columns: dict[str, list[Any]]) -> None:
    """Write clips as CSV, sorted by id.

    Args:
        path: File to write; it appears whole or not at all.
        ids: Of the clips.
        groups: Likewise.
        columns: Further columns, a value per clip.
    """
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", *columns])
        writer.writerows(sorted(zip(ids, groups, *columns.values(), strict=True)))


class PredictionWriter(Callback):
    """Write ``predictions-<selection>.csv`` after every test and ``predictions.csv`` after every predict run.

    The table behind it is gathered over all ranks and holds each clip once, so that the padding of a distributed
    sampler cannot count twice. Models that give an embedding get ``embeddings.pt`` beside the predictions of a
    predict run: ``{"id": [...], "embedding": (N, D)}``.

    Args:
        selection: Which checkpoint is tested: ``best``, ``last`` or ``selected``; the command line sets it.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`
    leaves_files = True  # not in a trial run

    def __init__(self, selection: str = "test") -> None:
        self.selection = selection
        self._embeddings: list[dict[str, Any]] = []

    def _write(self, trainer: Trainer, task: LightningModule, name: str) -> None:
        assert isinstance(task, EmotionTask)
        if trainer.is_global_zero and not trainer.sanity_checking:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            path = Path(trainer.default_root_dir) / name
            write_predictions(path, task, data.class_names, data.clip_attributes)
            rank_zero_info(f"predictions: {path}")

    @staticmethod
    def _condition_suffix(trainer: Trainer) -> str:
        """Return what a file name says of modalities that were dropped, of a leak, and of clips seen without labels."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        lost = "".join(f"-{modality}-missing-{rate:g}" for modality, rate in sorted(data.missing.items()) if rate)
        seen = f"{lost}-leaked" if data.leaked else lost
        return f"{seen}-transductive" if data.transductive else seen

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions of the test run."""
        lost = self._condition_suffix(trainer) if self.selection == "test" else ""
        self._write(trainer, pl_module, f"predictions-{self.selection}{lost}.csv")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of the batch."""
        if "embedding" in outputs:
            self._embeddings.append({"id": outputs["id"], "embedding": outputs["embedding"].float().cpu()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions, and the embeddings where there are any."""
        self._write(trainer, pl_module, f"predictions{self._condition_suffix(trainer)}.csv")
        if self._embeddings:
            parts, self._embeddings = self._embeddings, []
            suffix = f"-{trainer.global_rank}" if trainer.world_size > 1 else ""
            content = {
                "id": [clip for part in parts for clip in part["id"]],
                "embedding": torch.cat([part["embedding"] for part in parts]),
            }
            path = Path(trainer.default_root_dir) / f"embeddings{suffix}.pt"
            save_torch(content, path)
