"""The record of a run: its settings, and the result that every table is made of (contract 5)."""

import importlib
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from atomic_files import write_atomic
from callbacks.history import History
from callbacks.profile import ModelProfile
from datamodules.base import EmotionDataModule
from experiments.results import cell as results
from experiments.results.provenance import commit, device_name
from experiments.results.stamps import stamped
from experiments.settings.redaction import hide
from lightning_modules.base import EmotionTask
from lightning_modules.nn.metrics import PredictionTable, constant, value_metrics


class RecordConfig(SaveConfigCallback):
    """Write ``config.yaml`` into the run's folder and hand the resolved settings to the loggers."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the settings once, on the first rank."""
        if stage != "fit":
            return
        folder = Path(trainer.default_root_dir)
        text = self.parser.dump(self.config, skip_none=False)
        settings = yaml.safe_load(text)
        if (shown := hide(settings)) != settings:
            text = yaml.safe_dump(shown, sort_keys=False)
        write_atomic(folder / "config.yaml", text)
        for logger in trainer.loggers:
            logger.log_hyperparams({"config": text})


def record_result(
    trainer: Any, task: EmotionTask, data: EmotionDataModule, selections: dict[str, dict[str, Any]], **about: Any
) -> None:
    """Write ``result.json`` and print what it says.

    Args:
        trainer: After the last test of the run.
        task: The model.
        data: What it was trained and tested on.
        selections: Epoch and metrics by checkpoint.
        **about: What the command line knows: experiment, seed, request_hash, calibration, began_with.
    """
    folder = Path(trainer.default_root_dir)
    profile = next((c.result for c in trainer.callbacks if isinstance(c, ModelProfile)), {})
    history = next(c for c in trainer.callbacks if isinstance(c, History))
    sizes = {**data.split_sizes(), "test": len(task.predictions.ids)}  # fewer where batches were limited
    baselines = _baselines(data, task.predictions)
    results.write_result(
        folder,
        {
            **about,
            "row": folder.parent.name if folder.parent.parent.name != "runs" else None,
            "fold": data.fold,
            "protocol": data.protocol,
            "synthetic": data.synthetic,
            "leaked": data.leaked,
            "transductive": data.transductive,
            "corpus": data.corpus,
            "class_names": data.class_names,
            "group_name": data.group_name,
            "outputs": data.outputs,
            "provenance": data.provenance,
            "selections": selections,
            "baselines": baselines,
            **{f"n_{split}": sizes[split] for split in ("train", "val", "test")},
            "parameters": profile["parameters"],
            **{name: profile.get(name) for name in ("flops", "latency_ms", "peak_memory_mb")},
            "seconds": history.seconds,
            "device": device_name(trainer),
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.import_module(name).__version__ for name in ("torch", "lightning", "numpy")},
            },
            "commit": commit(),
            "data_fingerprint": data.fingerprint,
        },
    )
    for selection, metrics in selections.items():
        note = " (chosen on the clips that it is scored on: optimistic)" if selection == "best" else ""
        name = "not selected" if selection == results.UNSELECTED else selection
        epoch = "nothing trained" if metrics["epoch"] is None else f"epoch {metrics['epoch'] + 1}"
        said = "; ".join(_told(metrics, baselines, task.predictions))
        print(stamped({"leaked": data.leaked, "transductive": data.transductive}, f"{name}, {epoch}{note}: {said}"))
    if unselected := [name for name in data.selections if name not in selections]:
        print(f"{unselected[0]}: not selected, no epoch was validated and kept before the run ended")
    print(f"result: {folder / 'result.json'}")
    program = "affectzoo" if Path(sys.argv[0]).name == "affectzoo" else "python cli.py"
    print(f"report: {program} report --run {shlex.quote(str(folder))}")
    if data.num_folds > 1:
        last = data.num_folds - 1
        print(f"fold {data.fold} of 0 to {last}: fit the others with --data.fold; report --run takes all their folders")


def _baselines(data: EmotionDataModule, table: PredictionTable) -> dict[str, float]:
    """Return what the test's most frequent class and the training labels' mean get on the test clips, and that mean."""
    found: dict[str, float] = {}
    if len(labels := table.labels[table.labels >= 0]):
        counts = torch.bincount(labels)
        found = {"accuracy": float(counts.max() / len(labels)), "uar": 1 / int((counts > 0).sum())}
    scales = data.value_scales
    for task, (_, true) in table.values.items():
        known = true[~true.isnan()]
        if task in scales and len(known) > 1:
            found[f"mean_{task}"] = scales[task][0]
            found |= {
                f"{name}_{task}": value
                for name, value in value_metrics(torch.full_like(known, scales[task][0]), known).items()
            }
    return found


def _told(metrics: dict[str, Any], baselines: dict[str, float], table: PredictionTable) -> Iterator[str]:
    """Yield what is printed of a selection: its classes, then each value."""
    whole = len(table.ids)

    def counted(known: int, what: str) -> str:
        return f"{whole} clips" if known == whole else f"the {known} of {whole} clips that have a {what}"

    if "accuracy" in metrics:
        yield (
            f"accuracy {100 * metrics['accuracy']:.2f} %, UAR {100 * metrics['uar']:.2f} %, macro F1 "
            f"{100 * metrics['f1']:.2f} % on {counted(int((table.labels >= 0).sum()), 'class')}"
        )
    for task, (said, true) in table.values.items():
        if f"ccc_{task}" not in metrics:
            yield f"{task}: fewer than two clips have a value"
            continue
        of = {name: metrics[f"{name}_{task}"] for name in ("mae", "rmse", "pearson", "ccc")}
        known = ~true.isnan()
        text = f"{task} MAE {of['mae']:.4g}, RMSE {of['rmse']:.4g}, Pearson {of['pearson']:.3f}, CCC {of['ccc']:.3f}"
        text += f" on {counted(int(known.sum()), 'value')}"
        if f"mae_{task}" in baselines:
            text += f" (the training labels' mean: MAE {baselines[f'mae_{task}']:.4g}, CCC 0)"
        same = [name for name, values in (("prediction", said), ("label", true)) if constant(values[known])]
        yield text + "".join(f"; every {name} is the same, so that nothing correlates" for name in same)
