"""Weights & Biases as a mirror: it can fail, and the run goes on."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_warn


def _guarded(name: str) -> Callable[..., Any]:
    method = getattr(WandbLogger, name)

    @wraps(method)
    def call(self: "ResilientWandbLogger", *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.broken = True
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            rank_zero_warn(f"Weights & Biases is off for the rest of this run ({reason}); metrics.csv has everything")
            return None

    return call


class ResilientWandbLogger(WandbLogger):
    """`WandbLogger` that is offline when no key is set and that can never stop a run.

    Without ``WANDB_API_KEY`` or a stored login, the run is kept on disk (``wandb sync`` uploads it later). Whatever
    goes wrong inside W&B is told once, and logging to it ends; ``metrics.csv`` is written in any case.

    Args:
        kwargs: Arguments of Lightning's `WandbLogger`: ``project``, ``name``, ``group``, ``save_dir``, ...
    """

    def __init__(self, project: str = "affectzoo", **kwargs: Any) -> None:
        self.broken = False
        if not (os.environ.get("WANDB_API_KEY") or os.path.exists(os.path.expanduser("~/.netrc"))):
            os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
        super().__init__(project=project, **kwargs)

    log_metrics = _guarded("log_metrics")
    log_hyperparams = _guarded("log_hyperparams")
    finalize = _guarded("finalize")
    after_save_checkpoint = _guarded("after_save_checkpoint")
    save = _guarded("save")
