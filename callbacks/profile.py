"""The cost of a model: parameters by stage, FLOPs, latency, memory, measured on a real clip."""

import re
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules.base import Batch, EmotionTask, select_clip


class ModelProfile(Callback):
    """Measure the model on the first clip of a test run; print the table of stages when a fit starts.

    ``result`` then holds ``parameters`` (total, trainable, by stage; a model's trainable count is taken at the start of
    training, before any unfreezing schedule), ``flops`` of one clip's forward pass, ``latency_ms`` (median) and
    ``peak_memory_mb`` (of the GPU; without one, of the process; None where the system does not report it).

    Args:
        repeats: Forward passes that the median latency is taken over.
        budget_s: Seconds after which no further pass is started.
    """

    only_watches = True  # no part of what a run is: `experiments.results.elsewhere`

    def __init__(self, repeats: int = 20, budget_s: float = 5.0) -> None:
        self.repeats = repeats
        self.budget_s = budget_s
        self.result: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Count parameters."""
        assert isinstance(pl_module, EmotionTask)
        if "parameters" in self.result:
            return
        stages = {name: sum(p.numel() for p in found) for name, found in pl_module.stage_parameters().items()}
        trainable = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        self.result["parameters"] = {"total": sum(stages.values()), "trainable": trainable, "stages": stages}
        if stage == "fit":
            table = "  ".join(f"{name} {count:,}" for name, count in stages.items())
            rank_zero_info(f"{type(pl_module).__name__}: {sum(stages.values()):,} parameters: {table}")

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Measure on the first batch of the first test run."""
        if batch_idx or "flops" in self.result:
            return
        clip = select_clip(batch, 0)
        with trainer.precision_plugin.forward_context():
            counter = FlopCounterMode(display=False)
            # torch cannot count through a parametrised weight (wav2vec 2.0 has one) in inference mode.
            with torch.inference_mode(False), torch.no_grad(), counter:
                pl_module(clip)
            self.result["flops"] = counter.get_total_flops()
            self.result["latency_ms"] = self._latency(pl_module, clip)
        if pl_module.device.type == "cuda":
            self.result["peak_memory_mb"] = torch.cuda.max_memory_allocated(pl_module.device) / 2**20
        else:
            self.result["peak_memory_mb"] = peak_of_process()

    def _latency(self, module: LightningModule, clip: Batch) -> float:
        times: list[float] = []
        stop = time.perf_counter() + self.budget_s
        while len(times) < self.repeats and (not times or time.perf_counter() < stop):
            start = time.perf_counter()
            module(clip)
            if module.device.type == "cuda":
                torch.cuda.synchronize(module.device)
            times.append(1000 * (time.perf_counter() - start))
        return sorted(times)[len(times) // 2]


def peak_of_process() -> float | None:
    """Return the peak memory of this process in MiB; None where there is no ``/proc``."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) / 2**10 if peak else None
