"""The record of a run: its settings, and the result that every table is made of (contract 5)."""

import importlib
import platform
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from atomic_files import write_atomic
from callbacks.history import History
from callbacks.profile import ModelProfile
from datamodules.base import EmotionDataModule
from experiments.results import cell as results
from experiments.results.provenance import commit, device_name
from experiments.settings.redaction import hide
from lightning_modules.base import EmotionTask


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
        **about: What the command line knows: experiment, seed, request_hash.
    """
    folder = Path(trainer.default_root_dir)
    profile = next((c.result for c in trainer.callbacks if isinstance(c, ModelProfile)), {})
    history = next(c for c in trainer.callbacks if isinstance(c, History))
    sizes = {**data.split_sizes(), "test": len(task.predictions.ids)}  # fewer where batches were limited
    results.write_result(
        folder,
        {
            **about,
            "row": folder.parent.name if folder.parent.parent.name != "runs" else None,
            "fold": data.fold,
            "protocol": data.protocol,
            "synthetic": data.synthetic,
            "leaked": data.leaked,
            "corpus": data.corpus,
            "class_names": data.class_names,
            "group_name": data.group_name,
            "selections": selections,
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
    labelled, whole = int((task.predictions.labels >= 0).sum()), sizes["test"]
    counted = f"{whole} clips" if labelled == whole else f"the {labelled} of {whole} clips that have a class"
    for selection, metrics in selections.items():
        note = " (chosen on the clips that it is scored on: optimistic)" if selection == "best" else ""
        name = "not selected" if selection == results.UNSELECTED else selection
        epoch = "nothing trained" if metrics["epoch"] is None else f"epoch {metrics['epoch'] + 1}"
        print(
            f"{'LEAKED: ' * data.leaked}{name}, {epoch}{note}: accuracy {100 * metrics['accuracy']:.2f} %, "
            f"UAR {100 * metrics['uar']:.2f} %, macro F1 {100 * metrics['f1']:.2f} % on {counted}"
        )
    if unselected := [name for name in data.selections if name not in selections]:
        print(f"{unselected[0]}: not selected, no epoch was validated and kept before the run ended")
    print(f"result: {folder / 'result.json'}")
