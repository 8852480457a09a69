"""Named layer groups of a model and what a step does to them: one optimizer group and one learning rate per stage."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lightning_modules.errors import TaskError
from lightning_modules.nn.networks.layer_groups import Stages

_BY_ELEMENT = (SGD, Adam, AdamW)  # they treat each number by itself, whichever group it is in


class StagedModule(LightningModule, ABC):
    """A model in named stages.

    What the learning rate of a stage is at a step is one formula: the scheduler's rate times every factor in
    ``lr_factors``, which callbacks (warm-up, discriminative rates) fill in. The factors are applied around the
    optimizer step alone, so that they compose with any scheduler and leave nothing behind in a checkpoint.

    Args:
        optimizer: Built over one named parameter group per stage.
        scheduler: Built over the optimizer.
        scheduler_interval: Whether the scheduler counts steps or epochs.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable,
        scheduler: LRSchedulerCallable | None,
        scheduler_interval: Literal["step", "epoch"],
    ) -> None:
        super().__init__()
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self.scheduler_interval = scheduler_interval
        self.lr_factors: dict[str, Callable[[str, int], float]] = {}
        self.effective_rates: dict[str, float] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep at once what Lightning notes some thirty times a batch: torch looks for parameters in what is set."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def stages(self) -> Stages:
        """Return the layer groups from input to head; together they hold every parameter exactly once."""

    def stage_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each stage, every parameter of the model exactly once.

        Returns:
            Stage name to parameters, from input to head; a stage may be empty.

        Raises:
            TypeError: If `stages` misses a parameter or names one twice: a programming error of the model's file.
        """
        named = {id(parameter): name for name, parameter in self.named_parameters()}
        stages: dict[str, list[nn.Parameter]] = {}
        seen: set[int] = set()
        for stage, parts in self.stages().items():
            found = [p for part in parts for p in ([part] if isinstance(part, nn.Parameter) else part.parameters())]
            stages[stage] = found
            for parameter in found:
                if id(parameter) in seen:
                    raise TypeError(f"{type(self).__name__}.stages() holds {named[id(parameter)]} twice")
                seen.add(id(parameter))
        missed = [name for key, name in named.items() if key not in seen]
        if missed:
            raise TypeError(f"{type(self).__name__}.stages() misses {', '.join(missed[:3])} ({len(missed)} in all)")
        return stages

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return one named group per stage, all there from the first step: unfreezing never adds any."""
        groups = [{"params": p, "name": stage} for stage, p in self.stage_parameters().items() if p]
        try:
            optimizer = self.optimizer_factory(groups)
        except (TypeError, ValueError) as error:
            raise TaskError(f"--model.optimizer: {error}") from error
        if self.scheduler_factory is None:
            return optimizer
        scheduler = self.scheduler_factory(optimizer)
        config: dict[str, Any] = {"scheduler": scheduler, "interval": self.scheduler_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            config["monitor"] = scheduler.monitor
        return cast(OptimizerLRScheduler, {"optimizer": optimizer, "lr_scheduler": config})

    @contextmanager
    def _factored_rates(self, optimizer: Optimizer) -> Iterator[None]:
        scheduled = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            for factor in self.lr_factors.values():
                group["lr"] = group["lr"] * factor(group["name"], self.global_step)
            self.effective_rates[group["name"]] = float(group["lr"])
        try:
            yield
        finally:
            for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
                group["lr"] = rate

    @staticmethod
    @contextmanager
    def _one_group(optimizer: Optimizer) -> Iterator[None]:
        """Show an optimizer whose groups differ in nothing all parameters as one group: it steps once, not by stage."""
        groups = optimizer.param_groups
        options = [{name: value for name, value in of.items() if name not in ("params", "name")} for of in groups]
        if type(optimizer) in _BY_ELEMENT and all(of == options[0] for of in options):
            optimizer.param_groups = [{**options[0], "params": [p for of in groups for p in of["params"]]}]
        try:
            yield
        finally:
            optimizer.param_groups = groups

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Step with the effective rates: the scheduler's times ``lr_factors``."""
        with self._factored_rates(optimizer), self._one_group(getattr(optimizer, "optimizer", optimizer)):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.loggers and self.global_step % every == 0:
            self.log_dict({f"lr/{stage}": rate for stage, rate in self.effective_rates.items()}, on_epoch=False)
