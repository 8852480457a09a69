"""What Lightning does around every batch, less what comes to nothing: of small networks that is a third of the time.

Nothing that is computed changes.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING: AbstractContextManager[None] = nullcontext()
_TRAINING = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step",
)  # fmt: skip
_EVALUATION = ("on_validation_batch_start", "on_validation_batch_end", "on_test_batch_start", "on_test_batch_end")


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, without a generator for each of its hundred calls a batch."""

    def profile(self, action_name: str) -> Any:
        """Return a context that does nothing."""
        return _NOTHING


def skip_empty_hooks(trainer: Any, task: LightningModule) -> None:
    """Tell the trainer of no hook of a batch that does nothing; it passes over one that cannot be called.

    Args:
        trainer: With all of its callbacks.
        task: The model.
    """
    for callback in trainer.callbacks:
        _skip(callback, Callback, (*_TRAINING, *_EVALUATION))
    _skip(task, LightningModule, _TRAINING)  # the arguments of its others are looked at


def _skip(holder: Any, base: type, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(type(holder), name) is getattr(base, name):
            setattr(holder, name, None)
