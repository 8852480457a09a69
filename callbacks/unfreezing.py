"""Gradual unfreezing: the head trains first, deeper stages join epoch by epoch.

Howard & Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
https://arxiv.org/abs/1801.06146.

Lightning's `BaseFinetuning` is no base for it: it freezes before DDP wraps the model, so that what is unfrozen later is
never reduced across replicas; it adds optimizer groups that schedulers do not know; it takes equal-valued parameters
for the same; and frozen BatchNorm and dropout stay active (Lightning-AI/pytorch-lightning#20340, #12141, #21531).
"""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from lightning_modules.base import EmotionTask
from lightning_modules.errors import TaskError


class GradualUnfreezing(Callback):
    """Train the last ``initial`` stages at first and ``per_epoch`` more in every epoch after that.

    What is frozen is a pure function of the epoch, set once DDP has wrapped the model and again at the start of every
    epoch: `requires_grad` off, and modules in eval mode, so that frozen BatchNorm statistics stay and frozen dropout is
    inactive. The optimizer holds every stage from the first step. An empty stage counts.

    Args:
        initial: Stages that train in the first epoch, counted from the head.
        per_epoch: Stages that join at each further epoch.
        schedule: Epoch at which a stage joins, by name, instead; a stage not named trains from the start.
    """

    def __init__(self, initial: int = 1, per_epoch: int = 1, schedule: dict[str, int] | None = None) -> None:
        if initial < 1 or per_epoch < 0:
            raise TaskError("GradualUnfreezing: initial is at least 1 and per_epoch at least 0")
        self.initial = initial
        self.per_epoch = per_epoch
        self.schedule = schedule

    def trainable(self, stages: list[str], epoch: int) -> list[str]:
        """Return the stages that train in an epoch.

        Args:
            stages: Names from input to head.
            epoch: Counted from 0.

        Returns:
            Names, in the same order.

        Raises:
            TaskError: If ``schedule`` names a stage that is not there.
        """
        if self.schedule is not None:
            if unknown := set(self.schedule) - set(stages):
                names = ", ".join(sorted(unknown))
                raise TaskError(f"GradualUnfreezing: no stage {names}; there are {', '.join(stages)}")
            return [stage for stage in stages if self.schedule.get(stage, 0) <= epoch]
        return stages[-min(len(stages), self.initial + self.per_epoch * epoch) :]

    def apply(self, task: EmotionTask, epoch: int) -> None:
        """Freeze and unfreeze the stages for an epoch.

        Args:
            task: The model.
            epoch: Counted from 0.
        """
        stages = task.stages()
        trainable = set(self.trainable(list(stages), epoch))
        for stage, parts in stages.items():
            for part in parts:
                part.requires_grad_(stage in trainable)
                if isinstance(part, nn.Module):
                    part.train(stage in trainable)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a schedule that does not fit the model, and a strategy that waits for frozen gradients."""
        assert isinstance(pl_module, EmotionTask)
        stages = list(pl_module.stages())
        if len(self.trainable(stages, 0)) == len(stages):
            rank_zero_warn(f"GradualUnfreezing: all {len(stages)} stages train from the start; nothing is ever frozen")
        unused = getattr(trainer.strategy, "_ddp_kwargs", {}).get("find_unused_parameters", False)
        if stage == "fit" and trainer.world_size > 1 and not unused:
            raise TaskError(
                "GradualUnfreezing on several devices needs --trainer.strategy ddp_find_unused_parameters_true"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze after DDP has registered every parameter."""
        assert isinstance(pl_module, EmotionTask)
        self.apply(pl_module, trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze the stages that train from this epoch on."""
        assert isinstance(pl_module, EmotionTask)
        self.apply(pl_module, trainer.current_epoch)
