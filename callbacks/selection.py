"""Refuse a run that can never select an epoch: none of its checkpoints would be a selection."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules.errors import TaskError

BEST = "best"  # name of the checkpoint of the epoch that was selected


def selection_problem(trainer: Any) -> str:
    """Return why no epoch of a run can be selected.

    Args:
        trainer: At the start of its training, when the number of batches is known.

    Returns:
        The option that is in the way and what to do about it; empty where an epoch can be selected.
    """
    named = [c for c in trainer.callbacks if isinstance(c, ModelCheckpoint) and c.monitor and c.filename == BEST]
    if not named:
        return (
            "--trainer.callbacks: there is no ModelCheckpoint with a monitor and the filename best; add with callbacks+"
        )
    if not any(checkpoint.save_top_k for checkpoint in named):
        return "--trainer.callbacks: the ModelCheckpoint of the filename best has save_top_k 0; leave that out"
    if not trainer.enable_validation:
        return "--trainer.limit_val_batches 0: leave it out"
    batches, every, at = trainer.num_training_batches, trainer.check_val_every_n_epoch, trainer.val_check_batch
    if every is not None and 0 < (trainer.max_epochs or 0) < every:
        return f"--trainer.check_val_every_n_epoch {every}: there are {trainer.max_epochs} epochs; at most that"
    if at is None or math.isinf(batches) or math.isinf(at) or trainer.ckpt_path:
        return ""  # by the clock, or a run that carries on
    whole, rest = divmod(int(at), int(batches))  # whole epochs and batches before the first validation
    whole += (every or 1) - 1
    if every is None and 0 < (trainer.max_epochs or 0) < whole + (rest > 0):
        return f"--trainer.val_check_interval {at}: there are {trainer.max_epochs * batches} batches; at most that"
    steps = whole * math.ceil(batches / trainer.accumulate_grad_batches) + rest // trainer.accumulate_grad_batches
    if 0 <= trainer.max_steps < steps:
        return f"--trainer.max_steps {trainer.max_steps}: the first validation is after {steps}; at least that"
    return ""


class SelectionGuard(Callback):
    """Stop a run at its start where validation can never run before its end; the command line adds it."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a run that would not train and does not say so.

        Raises:
            TaskError: If it has no batches or no steps.
        """
        for option in ("limit_train_batches", "max_steps"):
            if trainer.max_epochs != 0 and getattr(trainer, option) == 0:
                raise TaskError(f"--trainer.{option} 0: nothing would be trained; --trainer.max_epochs 0 says so")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse the run.

        Raises:
            TaskError: If no epoch can be selected.
        """
        if reason := selection_problem(trainer):
            raise TaskError(f"no epoch of this run could ever be selected.\n{reason}")
