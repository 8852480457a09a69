"""Linear warm-up of the learning rate over the first steps."""

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_modules.base import EmotionTask
from lightning_modules.errors import TaskError


class Warmup(Callback):
    """Multiply every rate by a factor that rises linearly from ``start_factor`` to 1.

    At optimizer step ``n``, counted from 0, the factor is ``start + (1 - start) * min(1, n / steps)``. It multiplies
    whatever the scheduler says, and is a function of the step alone: nothing to save, nothing to resume.

    Args:
        steps: Optimizer steps until the full rate.
        start_factor: Factor of the first step.
    """

    def __init__(self, steps: int, start_factor: float = 0.001) -> None:
        if steps < 1:
            raise TaskError(f"Warmup: steps is {steps}, at least 1")
        if not 0 <= start_factor <= 1:
            raise TaskError(f"Warmup: start_factor is {start_factor}, between 0 and 1")
        self.steps = steps
        self.start_factor = start_factor

    def factor(self, stage: str, step: int) -> float:
        """Return the factor of any stage's rate.

        Args:
            stage: Name of the stage; all warm up alike.
            step: Optimizer step, counted from 0.

        Returns:
            Between ``start_factor`` and 1.
        """
        return self.start_factor + (1 - self.start_factor) * min(1.0, step / self.steps)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass the factor to the task."""
        assert isinstance(pl_module, EmotionTask)
        pl_module.lr_factors["warmup"] = self.factor
