"""Learning-rate schedulers that torch lacks."""

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_modules.errors import TaskError


class CosineWave(LRScheduler):
    """A cosine from the base rate down to a minimum and up again, without restarts.

    At epoch ``n`` the rate is ``minimum + (base - minimum) / 2 * (1 + cos(2 pi (n - delay) / period))``. That is what
    `torch.optim.lr_scheduler.CosineAnnealingLR` gives with ``T_max = period / 2``, here in closed form, so that a
    resumed run has the same rates to the bit, and with a delay: a warm-up that lasts several epochs is waited for.

    Args:
        optimizer: The optimizer.
        period: Epochs of one wave, half of them down and half of them up (twice a paper's "annealing period").
        minimum: Lowest rate.
        delay: Epochs at the base rate before the wave begins; those that the warm-up has ended before, rounded down.
        last_epoch: Epoch that a resumed run goes on from; -1 starts anew.
    """

    def __init__(
        self, optimizer: Optimizer, period: int = 10, minimum: float = 1e-4, delay: int = 0, last_epoch: int = -1
    ) -> None:
        if period < 2 or delay < 0:
            raise TaskError(f"CosineWave: period is {period}, at least 2; delay is {delay}, at least 0")
        base = min(group["lr"] for group in optimizer.param_groups)
        if last_epoch == -1 and not 0 <= minimum <= base:
            raise TaskError(f"CosineWave: minimum is {minimum}, between 0 and the optimizer's rate {base}")
        self.period = period
        self.minimum = minimum
        self.delay = delay
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of every group at this epoch."""
        phase = 2 * math.pi * max(0, self.last_epoch - self.delay) / self.period
        return [self.minimum + (base - self.minimum) * (1 + math.cos(phase)) / 2 for base in self.base_lrs]
