"""What the framework costs: cells of the features table through the command line against a bare PyTorch loop.

python benchmarks/overhead.py [--rows concat mmtm ...] [--epochs N] [--rounds N]

The loop trains the same model on the same batches with the same optimizer, scores the test fold after every epoch and
keeps the best weights in memory. It is as short as such a loop gets and leaves out what makes a run a result: seeds per
step, checkpoints on disk, metrics.csv, predictions, the profile. The start-up is the command line up to the resolved
settings (imports, parsing). Bar: a cell takes at most 1.5 times the loop, plus the start-up.
"""

import argparse
import copy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import cpu_seconds
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datamodules.reading.feature_index import CLASSES  # noqa: E402
from experiments.reproduce.plan import Job, Planner, Selection  # noqa: E402
from experiments.reproduce.tables.table_file import read_table  # noqa: E402
from experiments.train.command import build  # noqa: E402
from lightning_modules.base import EmotionTask  # noqa: E402

BATCH, BAR = 16, 1.5


def bare_loop(task: EmotionTask, data: Any, epochs: int) -> float:
    """Train as anyone would by hand; return the best accuracy on the test fold."""
    train, test = (torch.from_numpy(data.rows[split]) for split in ("train", "test"))
    targets = data.targets[CLASSES]
    masks = {name: torch.ones(BATCH, dtype=torch.bool) for name in data.tables}

    def batch_of(rows: torch.Tensor) -> dict[str, Any]:
        batch: dict[str, Any] = {name: table[rows] for name, table in data.tables.items()}
        return {**batch, "mask": {name: mask[: len(rows)] for name, mask in masks.items()}}

    optimizer = task.optimizer_factory(task.parameters())
    best = -1.0
    for _ in range(epochs):
        task.train()
        for rows in train[torch.randperm(len(train))].split(BATCH):
            loss = F.cross_entropy(task(batch_of(rows))["logits"], targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        task.eval()
        with torch.no_grad():
            hits = [(task(batch_of(rows))["logits"].argmax(1) == targets[rows]).sum() for rows in test.split(BATCH)]
        accuracy = float(torch.stack(hits).sum() / len(test))
        if accuracy > best:
            best, _ = accuracy, copy.deepcopy(task.state_dict())
    return best


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return CPU and wall seconds of a call, subprocesses included."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    run()
    return cpu_seconds() - cpu, time.perf_counter() - wall


def command_line(job: Job, *options: str) -> None:
    """Run a cell."""
    command = [sys.executable, "cli.py", *job.command, *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def measure(job: Job, epochs: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return CPU and wall seconds of the loop, the start-up and the cell, the quickest of alternating rounds."""
    found: dict[str, list[tuple[float, float]]] = {"loop": [], "start-up": [], "cell": []}
    run = build(job.command)
    task, data = run.model, run.datamodule
    bare_loop(copy.deepcopy(task), data, 1)  # the first steps make buffers and pick kernels
    for _ in range(rounds):
        fresh = copy.deepcopy(task)
        found["loop"].append(seconds(lambda fresh=fresh: bare_loop(fresh, data, epochs)))  # type: ignore[misc]
        found["start-up"].append(seconds(lambda: command_line(job, "--print_config")))
        shutil.rmtree(job.directory, ignore_errors=True)
        found["cell"].append(seconds(lambda: command_line(job, "--trainer.max_epochs", str(epochs))))
    return {name: (min(cpu for cpu, _ in times), min(wall for _, wall in times)) for name, times in found.items()}


def main() -> None:
    """Print one line per row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", nargs="+", default=["concat"])
    parser.add_argument("--epochs", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not torch.cuda.is_available():  # as the command line does: else every step of the loop asks the driver again
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    print(f"{args.epochs} epochs, {args.rounds} rounds, CPU seconds (wall seconds)")
    print(f"{'row':15} {'bare loop':>15} {'start-up':>15} {'cell':>15}  (cell - start-up) / loop, bar {BAR}")
    with tempfile.TemporaryDirectory() as folder:
        planner = Planner(read_table("ravdess_features"), Path(folder))
        jobs = planner.jobs(Selection(rows=args.rows, folds=[0], seeds=[1], protocols=["paper"]))
        for job in jobs:
            row = job.row.rpartition("/")[2]
            if row not in args.rows:
                continue
            found = measure(job, args.epochs, args.rounds)
            cells = [f"{cpu:7.1f} ({wall:5.1f})" for cpu, wall in found.values()]
            ratio = (found["cell"][0] - found["start-up"][0]) / found["loop"][0]
            print(f"{row:15} {' '.join(f'{cell:>15}' for cell in cells)}  {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
