"""Metrics of every epoch in one CSV file, whatever logger is chosen."""

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from atomic_files import replacing
from lightning_modules.base import EmotionTask
from lightning_modules.errors import TaskError

SHOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_uar")


class History(Callback):
    """Keep ``metrics.csv`` in the run's folder.

    One row per epoch: every logged metric, how many parameters trained, the rate of every stage, 0 where it is frozen.
    An epoch that was not validated has no ``val_*``, one that training stopped inside no ``train_*``.
    Lightning's `CSVLogger` deletes the file when a run is resumed; here the epochs before the resumed one stay.
    Where no progress bar can be drawn, every epoch is also printed as one line.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`
    leaves_files = True  # not in a trial run

    def __init__(self) -> None:
        self._rows: list[dict[str, str]] = []
        self._started = 0.0
        self._frozen_ever = False
        self._validated = False  # in this epoch

    @property
    def seconds(self) -> float:
        """Wall time of all epochs so far, those before a resume included."""
        return float(self._rows[-1]["seconds"]) if self._rows else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the epochs that were done before a resume."""
        self._rows = self._before(trainer)
        self._started = time.perf_counter() - self.seconds

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read them too where no epoch was left to train: the run was killed between its last epoch and its test."""
        self._rows = self._rows or self._before(trainer)

    @staticmethod
    def _before(trainer: Trainer) -> list[dict[str, str]]:
        path = Path(trainer.default_root_dir) / "metrics.csv"
        if not trainer.current_epoch or not path.exists():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [dict(row) for row in csv.DictReader(file)]
            if any(None in row or None in row.values() or not math.isfinite(float(row["seconds"])) for row in rows):
                raise ValueError("a row of another length")
            return [row for row in rows if int(row["epoch"]) < trainer.current_epoch]
        except (KeyError, OSError, TypeError, ValueError, csv.Error) as error:
            raise TaskError(f"{path} is damaged ({error}); delete the folder to start again") from error

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the scores of the epoch before."""
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record that the epoch has scores of its own."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append the epoch and rewrite the file."""
        assert isinstance(pl_module, EmotionTask)
        own = {"train": trainer.is_last_batch, "val": self._validated}  # else Lightning keeps those of an earlier epoch
        metrics = {
            name: value for name, value in trainer.callback_metrics.items() if own.get(name.partition("_")[0], True)
        }
        if not trainer.is_global_zero:
            return
        values: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        values["seconds"] = f"{time.perf_counter() - self._started:.3f}"
        values |= {name: f"{float(value):.6g}" for name, value in sorted(metrics.items()) if "/" not in name}
        trained = {
            stage: sum(p.numel() for p in parameters if p.requires_grad)
            for stage, parameters in pl_module.stage_parameters().items()
        }
        values["trainable"] = sum(trained.values())
        rates = pl_module.effective_rates.items()
        values |= {f"lr/{stage}": f"{rate if trained[stage] else 0:.6g}" for stage, rate in rates}
        self._rows.append({name: str(value) for name, value in values.items()})
        path = Path(trainer.default_root_dir) / "metrics.csv"
        with replacing(path, sync=False) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in self._rows for name in row)))
            writer.writeheader()
            writer.writerows(self._rows)
        if trainer.progress_bar_callback is None and trainer.max_epochs:
            agreements = [name for name in values if name.startswith("val_ccc_")]
            shown = "  ".join(f"{name} {values[name]}" for name in (*SHOWN, *agreements) if name in values)
            if self._frozen_ever or values["trainable"] < sum(p.numel() for p in pl_module.parameters()):
                self._frozen_ever = True
                shown += f"  trainable {values['trainable']:,}"
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {shown}", file=sys.stderr, flush=True)
