"""Options and foreign classes that Lightning and torch do not check, or report in a traceback."""

import traceback
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from error_texts import first_line
from experiments.errors import UsageError
from experiments.settings.class_paths import PACKAGES
from lightning_modules.errors import TaskError

_OPTIONS: dict[type, str] = {
    Optimizer: "--model.optimizer",
    LRScheduler: "--model.scheduler",
    Callback: "--trainer.callbacks",
    Logger: "--trainer.logger",
    Profiler: "--trainer.profiler",
}


def check_trainer(trainer: Any, options: Any) -> None:
    """Refuse options that would end in the middle of a run.

    Args:
        trainer: As it was built.
        options: Those that it was built of.

    Raises:
        UsageError: If there are some.
    """
    device = trainer.strategy.root_device.type
    if options.sync_batchnorm and device != "cuda":
        raise UsageError(
            f"--trainer.sync_batchnorm true (_ddp.yaml has it) needs GPUs, and this runs on the {device}.\n"
            "Add --trainer.sync_batchnorm false after the last --config"
        )
    if options.accumulate_grad_batches < 1:
        raise UsageError(f"--trainer.accumulate_grad_batches {options.accumulate_grad_batches}: at least 1")
    if options.check_val_every_n_epoch is not None and options.check_val_every_n_epoch < 1:
        raise UsageError(f"--trainer.check_val_every_n_epoch {options.check_val_every_n_epoch}: at least 1")
    if trainer.limit_test_batches == 0:
        raise UsageError("--trainer.limit_test_batches 0: nothing would be scored; leave it out")


def explain(error: Exception, task: Any) -> Exception | None:
    """Return an error that says what a user can do about one of Lightning or of torch.

    Args:
        error: What ended a command.
        task: The model.

    Returns:
        The error to raise instead; None where it is of something else, as a bug of ours is.
    """
    if hasattr(error, "exit_code"):
        return None
    first = first_line(error)
    if isinstance(error, torch.OutOfMemoryError):
        return TaskError(f"the device's memory is full; give less than --data.batch_size as it is ({first[:120]})")
    if isinstance(error, MisconfigurationException):
        return UsageError(f"--trainer: {first}")
    if "`val_check_interval`" in first:  # Lightning's, when it has counted the batches
        return UsageError(f"--trainer.val_check_interval: {first.partition('. ')[0]}")
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = frame.f_locals.get("self")
        if frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES:
            return None  # raised by what our code did
        if owner is not None and owner is getattr(task, "loss", None):
            return UsageError(f"--model.loss {type(owner).__name__}: {first}")
        for kind, option in _OPTIONS.items():
            if isinstance(owner, kind):
                return UsageError(f"{option} {type(owner).__name__}: {first}")
    return None
