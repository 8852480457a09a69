"""Weights & Biases as a mirror: it can fail, and the run goes on."""

import netrc
import os
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_warn

from error_texts import first_line


def has_key() -> bool:
    """Return whether W&B would find a key without asking: in the environment, or in ``.netrc`` for its server."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    import wandb  # a second of import that runs without W&B do not pay

    servers = (os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url, "https://api.wandb.ai")
    try:
        stored = netrc.netrc(os.environ.get("NETRC") or os.path.expanduser("~/.netrc"))
    except (OSError, ValueError, netrc.NetrcParseError):
        return False
    logins = (stored.authenticators(urlsplit(server).netloc) for server in servers)
    return any(login and login[2] for login in logins)


def _guarded(name: str) -> Callable[..., Any]:
    method = getattr(WandbLogger, name)

    @wraps(method)
    def call(self: "ResilientWandbLogger", *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.give_up(error)
            return None

    return call


class _Silent:
    """Take every call and every value, and do nothing."""

    def __getattr__(self, name: str) -> "_Silent":
        if name.startswith("__"):  # what Python asks of every object
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "_Silent":
        return self

    def __getitem__(self, name: Any) -> "_Silent":
        return self

    def __setitem__(self, name: Any, value: Any) -> None:
        pass


class ResilientWandbLogger(WandbLogger):
    """`WandbLogger` that is offline when no key is set and that can never stop a run.

    Without ``WANDB_API_KEY`` or a stored login, the run is kept on disk (``wandb sync`` uploads it later);
    ``WANDB_MODE=online`` insists. Whatever goes wrong inside W&B is reported once, and logging to it ends;
    ``metrics.csv`` is written in any case.

    Args:
        project: Project of the run.
        save_dir: Where W&B keeps its files; the run's folder on the command line where not given.
        **kwargs: Other arguments of Lightning's `WandbLogger`: ``name``, ``group``, ``tags``, ...
    """

    def __init__(self, project: str = "affectzoo", save_dir: str | None = None, **kwargs: Any) -> None:
        self.broken = False
        if not has_key():
            os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")  # seconds that an unreachable server can cost at the start
        os.environ.setdefault("WANDB_FINISH_TIMEOUT", "60")  # and at the end; by default W&B waits without end
        # Without a folder of its own, W&B writes where WANDB_DIR says.
        super().__init__(project=project, save_dir=save_dir, **kwargs)  # type: ignore[arg-type]

    def give_up(self, error: Exception) -> None:
        """Warn why, and log nothing more.

        Args:
            error: What W&B raised.
        """
        self.broken = True
        rank_zero_warn(
            f"Weights & Biases is off for the rest of this run ({first_line(error)}); metrics.csv has everything"
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, started here; where that fails, an object that accepts every call and does nothing."""
        if not self.broken:
            try:
                return WandbLogger.experiment.fget(self)  # type: ignore[attr-defined]
            except Exception as error:
                self.give_up(error)
        return _Silent()

    log_metrics = _guarded("log_metrics")
    log_hyperparams = _guarded("log_hyperparams")
    finalize = _guarded("finalize")
    after_save_checkpoint = _guarded("after_save_checkpoint")
    save = _guarded("save")
