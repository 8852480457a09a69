"""Run by test_callbacks.py: trains and tests on two processes; Lightning starts the second one from this file."""

import sys
from pathlib import Path

import lightning.pytorch as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiny import TinyData, TinyTask, trainer

from callbacks.layer_lr import DiscriminativeLR
from callbacks.predictions import PredictionWriter
from callbacks.unfreezing import GradualUnfreezing
from callbacks.warmup import Warmup

folder = Path(sys.argv[1])
pl.seed_everything(3, verbose=False)
task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.05))
callbacks = [GradualUnfreezing(1, 1), DiscriminativeLR(), Warmup(4), PredictionWriter("last")]
run = trainer(folder, 4, callbacks, devices=2, strategy="ddp_find_unused_parameters_true")
run.fit(task, datamodule=TinyData(batch_size=3))
torch.save(task.state_dict(), folder / f"rank{run.global_rank}.pt")
run.test(task, datamodule=TinyData(batch_size=3), verbose=False)
torch.save(run.callback_metrics["test_accuracy"], folder / f"accuracy{run.global_rank}.pt")
# Both replicas leave the group while both are whole: what its threads do during an interpreter's end may abort it.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
