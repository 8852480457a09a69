"""The training commands: `EmotionCLI` run, or only built; YAML names classes without their modules."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from experiments.errors import Finished
from experiments.settings import class_paths
from experiments.settings.config import PROJECT
from experiments.settings.messages import quiet
from experiments.settings.redaction import hide_words
from experiments.train.emotion_cli import EmotionCLI


def import_all() -> None:
    """Import every module of the packages whose classes YAML can name without their modules."""
    for module in class_paths.modules(PROJECT):
        importlib.import_module(module)


class _Built(EmotionCLI):
    """Stop before anything runs."""

    def before_fit(self) -> None:
        """Do nothing."""

    def fit(self, **_: Any) -> None:
        """Take the place of the trainer's ``fit``."""

    def after_fit(self) -> None:
        """Do nothing: there is nothing to test."""


def build(arguments: Sequence[str]) -> EmotionCLI:
    """Build the model and the data of a ``fit`` command without running or writing anything.

    Args:
        arguments: The command and its options.

    Returns:
        What was parsed and built: ``config``, ``model``, ``datamodule``.
    """
    quiet()
    import_all()
    allowed, arguments = class_paths.split(arguments)
    with class_paths.guarded(allowed):
        return _Built([*class_paths.update_command_line(arguments), "--trainer.fast_dev_run", "true"])


def main(arguments: Sequence[str]) -> int:
    """Run one training command.

    Args:
        arguments: The command and its options.

    Returns:
        The exit code.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # without it a missing network costs a minute of retries
    if not torch.cuda.is_available():  # else every optimizer step asks the driver again
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    quiet()
    import_all()
    if hide_words(arguments) != list(arguments):
        os.environ["WANDB_X_DISABLE_META"] = "true"  # else W&B keeps the command line
    allowed, arguments = class_paths.split(arguments)
    try:
        with class_paths.guarded(allowed), contextlib.ExitStack() as held:
            EmotionCLI(class_paths.update_command_line(arguments), held)
    except Finished as done:
        print(done)
    except SystemExit as stop:  # Lightning's way out after Ctrl-C (1) and SIGTERM; the parser's after --help (0)
        terminated = isinstance(stop, SIGTERMException)
        if not terminated and stop.code != 1:
            raise
        print("\ninterrupted: the same command carries on after the last whole epoch", file=sys.stderr)
        return 143 if terminated else 130
    return 0
