"""The callbacks that no run goes without: a result is made of what they record."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.history import History
from callbacks.predictions import PredictionWriter
from callbacks.profile import ModelProfile
from callbacks.selection import SelectionGuard


def with_recorders(callbacks: Sequence[Callback], folder: Path) -> list[Callback]:
    """Return callbacks and those that they lack; checkpoints without a place of their own go to the run's folder."""
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
    lacking = [
        kind()
        for kind in (SelectionGuard, History, PredictionWriter, ModelProfile)
        if not any(isinstance(callback, kind) for callback in callbacks)
    ]
    return [*callbacks, *lacking]
