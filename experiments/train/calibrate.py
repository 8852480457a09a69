"""The calibration of a run's selected checkpoint: fitted on the clips that select the epoch, kept beside it."""

from pathlib import Path
from typing import Any

import torch

from datamodules.base import EmotionDataModule
from experiments.results.cell import write_json
from experiments.results.checkpoints import CALIBRATION
from lightning_modules.base import EmotionTask
from lightning_modules.nn.calibration import calibration_error, fit_temperature, unsure_below
from lightning_modules.nn.metrics import class_labels, class_scores
from tensor_archives import archive_digest

LEAST = 20  # clips


def calibrate(trainer: Any, task: EmotionTask, data: EmotionDataModule) -> dict[str, Any]:
    """Fit and keep the calibration of the checkpoint that was scored last, the selected one.

    Returns:
        ``temperature``, ``ece`` before and ``ece_calibrated`` after, ``threshold``, ``clips`` and their ``split``;
        nothing of values alone, of few clips, and where processes share the clips.
    """
    path = Path(trainer.default_root_dir) / "checkpoints" / "best.ckpt"
    if not task.class_names or trainer.world_size > 1 or not path.is_file():
        return {}
    scores, labels = [], []
    training = task.training
    task.eval()
    with torch.inference_mode():
        for batch in data.val_dataloader():
            moved = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, task.device, 0), 0)
            logits = task(moved)["logits"]
            scores.append(class_scores(logits).float().cpu())
            labels.append(class_labels(logits, moved["target"]).cpu())
    task.train(training)
    logits, said = torch.cat(scores), torch.cat(labels)
    logits, said = logits[said >= 0], said[said >= 0]
    if len(said) < LEAST:
        return {}
    temperature = fit_temperature(logits, said)
    (before, _), (after, answer) = (of.double().softmax(1).max(1) for of in (logits, logits / temperature))
    right = answer == said
    found = {
        "temperature": temperature,
        "ece": calibration_error(before, right),
        "ece_calibrated": calibration_error(after, right),
        "threshold": unsure_below(after, right),
        "clips": len(said),
        "split": "test" if data.protocol == "paper" else "val",
    }
    write_json(path.with_name(CALIBRATION), {"checkpoint": archive_digest(path), **found})
    return found
