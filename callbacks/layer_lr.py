"""Discriminative learning rates: the further a stage is from the head, the lower its rate.

Howard & Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
https://arxiv.org/abs/1801.06146.
"""

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_modules.base import EmotionTask
from lightning_modules.errors import TaskError


class DiscriminativeLR(Callback):
    """Multiply the rate of every stage by its own constant.

    Counted from the head down, the last ``start`` stages get 1, the stage before them ``factor``, the one before that
    ``factor ** 2``, and so on; an empty stage counts. The ratios between stages hold under any scheduler, one with a
    floor included.

    Args:
        factor: Ratio of a stage's rate to that of the stage after it.
        scales: Factor per stage by name instead; a stage not named keeps 1.
        start: Stages that keep the full rate, counted from the head.
        minimum: Factor below which no stage falls.
    """

    def __init__(
        self, factor: float = 0.85, scales: dict[str, float] | None = None, start: int = 1, minimum: float = 0.0
    ) -> None:
        if factor <= 0 or any(scale < 0 for scale in (scales or {}).values()):
            raise TaskError("DiscriminativeLR: factor must be positive and scales not negative")
        if start < 0 or not 0 <= minimum <= 1:
            raise TaskError("DiscriminativeLR: start is at least 0 and minimum between 0 and 1")
        self.factor = factor
        self.scales = scales
        self.start = start
        self.minimum = minimum

    def stage_scales(self, stages: list[str]) -> dict[str, float]:
        """Return the factor of every stage.

        Args:
            stages: Names from input to head.

        Returns:
            Factor per stage.

        Raises:
            TaskError: If ``scales`` names a stage that is not there.
        """
        if self.scales is None:
            depths = ((max(0, place + 1 - self.start), stage) for place, stage in enumerate(reversed(stages)))
            return {stage: max(self.minimum, self.factor**depth) for depth, stage in depths}
        if unknown := set(self.scales) - set(stages):
            raise TaskError(f"DiscriminativeLR: no stage {', '.join(sorted(unknown))}; there are {', '.join(stages)}")
        return {stage: self.scales.get(stage, 1.0) for stage in stages}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass the factors to the task."""
        assert isinstance(pl_module, EmotionTask)
        scales = self.stage_scales(list(pl_module.stages()))
        pl_module.lr_factors["discriminative"] = lambda name, step: scales[name]
