"""Post to a webhook at each new best epoch and at the end of training; it can fail, and the run goes on."""

import atexit
import json
import math
import os
import threading
import urllib.request
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.error import HTTPError

from jsonargparse.typing import SecretStr
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

VARIABLE = "AFFECTZOO_WEBHOOK"


class WebhookNotifier(Callback):
    """POST JSON to a URL whenever ``monitor`` has a new best, and when training ends.

    ``{"event": "best", "run": ..., "epoch": 3, "metrics": {"val_accuracy": 0.61, ...}}``; the ``end`` also has a
    ``status``: ``finished``, ``interrupted`` or ``failed``, and its ``epoch`` is how many were whole. ``run`` is the
    run's folder. Nothing about single clips is sent.

    The first process posts, in a thread of its own. The first message that does not arrive ends it with a warning, and
    no more are sent. The URL often is the only secret of a webhook: it is written to no file, and best kept out of the
    command line by ``AFFECTZOO_WEBHOOK``.

    Args:
        url: Where to; the environment variable ``AFFECTZOO_WEBHOOK`` where not given.
        monitor: What has a new best; higher is better.
        timeout: Seconds that one message may take, and that the end of the process waits for the last one.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`

    def __init__(self, url: SecretStr | None = None, monitor: str = "val_score", timeout: float = 5.0) -> None:
        self.monitor = monitor
        self.timeout = timeout
        self._url = str(url.get_secret_value()) if url is not None else os.environ.get(VARIABLE, "")
        self._best = float("-inf")
        self._messages: Queue[bytes | None] | None = None
        self._thread: threading.Thread | None = None
        self._off = False

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, so that a resumed run does not report it again."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value."""
        self._best = state_dict["best"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Warn where there is nowhere to post."""
        if stage == "fit" and not self._url.startswith(("http://", "https://")):
            self._give_up(f"set {VARIABLE} to an http or https URL")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Post that an epoch is the best so far."""
        score = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or trainer.state.fn != "fit" or score is None or not float(score) > self._best:
            return
        self._best = float(score)
        self._send(trainer, "best", trainer.current_epoch + 1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Post that training ended."""
        self._send(trainer, "end", trainer.current_epoch, status="finished")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Post that training failed."""
        if trainer.state.fn == "fit":
            stopped = isinstance(exception, KeyboardInterrupt | SystemExit)
            self._send(trainer, "end", trainer.current_epoch, status="interrupted" if stopped else "failed")

    def _send(self, trainer: Trainer, event: str, epoch: int, **more: str) -> None:
        if self._off or not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items()) if "/" not in name}
        content = {"event": event, **more, "run": _display_path(trainer.default_root_dir), "epoch": epoch}
        content["metrics"] = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        if self._messages is None:  # not in __init__: a queue cannot be copied to another process
            self._messages = Queue()
            self._thread = threading.Thread(target=self._work, args=(self._messages,), name="webhook", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        self._messages.put(json.dumps(content).encode())

    def close(self) -> None:
        """Wait for the last message, for ``timeout`` seconds at most."""
        if self._messages is not None and self._thread is not None:
            self._messages.put(None)
            self._thread.join(self.timeout)

    def _work(self, messages: "Queue[bytes | None]") -> None:
        while (message := messages.get()) is not None:
            try:
                headers = {"Content-Type": "application/json", "User-Agent": "affectzoo"}
                request = urllib.request.Request(self._url, message, headers)
                with urllib.request.urlopen(request, timeout=self.timeout):
                    pass
            except Exception as error:  # a name that is not known, a refusal, a wrong address, a slow server, ...
                self._give_up(type(error).__name__ + (f" {error.code}" if isinstance(error, HTTPError) else ""))
                return

    def _give_up(self, reason: str) -> None:
        self._off = True
        rank_zero_warn(f"WebhookNotifier is off for the rest of this run ({reason})")


def _display_path(folder: str) -> str:
    path = Path(folder)
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)
