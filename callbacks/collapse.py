"""Stop a run that has nothing to learn from any more, and name the clips that caused it."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.errors import TrainingCollapsed
from lightning_modules.base import EmotionTask


class CollapseGuard(Callback):
    """Stop when the loss is not finite, or when one class is predicted for every clip too many epochs in a row.

    The loss is looked at one step late, so that the device never waits for it.

    Args:
        patience: Epochs in a row of one and the same class over all validation clips before the run stops.
        fewest: Labelled validation clips of which that is said; of fewer a sound network may call all alike.
    """

    def __init__(self, patience: int = 10, fewest: int = 20) -> None:
        self.patience, self.fewest = patience, fewest
        self._previous: tuple[Tensor, list[str]] | None = None
        self._collapsed = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the count, which goes on in a resumed run."""
        return {"collapsed": self._collapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self._collapsed = state_dict["collapsed"]

    def _check(self, trainer: Trainer) -> None:
        if self._previous is None:
            return
        loss, clips = self._previous
        self._previous = None
        if not torch.isfinite(loss):
            raise TrainingCollapsed(
                f"the loss became {loss.item()} in epoch {trainer.current_epoch}, step {trainer.global_step}, "
                f"at clips {', '.join(clips)}.\nLower the learning rate or look at these clips"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the previous step's loss and keep this one's."""
        self._check(trainer)
        self._previous = (outputs["loss"].detach(), batch["id"])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the last step's loss."""
        self._check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the loss before a checkpoint is written, and count epochs with a single predicted class, if any are."""
        if trainer.sanity_checking:
            return
        assert isinstance(pl_module, EmotionTask)
        self._check(trainer)
        table = pl_module.predictions
        labels = table.labels[table.labels >= 0]
        if not pl_module.class_names or len(labels) < self.fewest:
            return
        classes = torch.unique(table.scores.argmax(1))
        self._collapsed = self._collapsed + 1 if len(classes) == 1 and len(torch.unique(labels)) > 1 else 0
        if self._collapsed >= self.patience:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            raise TrainingCollapsed(
                f"class {data.class_names[int(classes)]!r} was predicted for all {len(table.ids)} validation clips "
                f"({', '.join(table.ids[:3])}, ...) in {self._collapsed} epochs in a row, up to epoch "
                f"{trainer.current_epoch}.\nLower the learning rate, or raise the patience of CollapseGuard"
            )
