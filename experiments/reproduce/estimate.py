"""About how long cells take: by those that have ended, and by a few batches of rows of which none has."""

import contextlib
import io
import logging
import math
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean
from typing import TYPE_CHECKING

from experiments.results.quantities import duration

if TYPE_CHECKING:
    from experiments.reproduce.plan import Job

_BATCHES = 3  # of training and of validation; the first one warms up


@dataclass
class Estimate:
    """Seconds that cells take, by row.

    Attributes:
        measured: Of cells that have ended.
        timed: By a few batches.
    """

    measured: dict[str, list[float]] = field(default_factory=dict)
    timed: dict[str, float] = field(default_factory=dict)

    def of(self, row: str) -> float:
        """Return those of a cell of a row, of an unknown one the mean of the others; NaN where none is known."""
        if row in self.measured:
            return mean(self.measured[row])
        known = [*self.timed.values(), *(value for values in self.measured.values() for value in values)]
        return self.timed.get(row) or (mean(known) if known else math.nan)

    def unknown(self, jobs: Sequence["Job"]) -> list["Job"]:
        """Return one cell of each row about which nothing is known."""
        return list({job.row: job for job in reversed(jobs) if job.row not in self.measured | self.timed}.values())

    def told(self, left: Sequence["Job"], workers: int) -> str:
        """Return about how long cells take, and what says so."""
        ended = sum(map(len, self.measured.values()))
        timed = len({job.row for job in left} & (self.timed.keys() - self.measured.keys()))
        sources = [f"the {ended} that are done"] * bool(ended) + [f"a few batches of {timed} rows"] * bool(timed)
        if not left or not sources:
            return "; how long is told when it runs" * bool(left)
        total = sum(self.of(job.row) for job in left) / workers
        other = len(self.unknown(left))
        unknown = f"; rows without any ({other}) count as the mean of the others" * bool(other)
        return f", about {duration(total)} going by {' and '.join(sources)}{unknown}"

    def time_rows(self, jobs: Sequence["Job"], workers: int) -> None:
        """Run a few batches of a cell of each row about which nothing is known; none that fails counts."""
        from datamodules.store.parallel import start_worker  # heavier than a --dry-run needs

        jobs = self.unknown(jobs)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=start_worker) as pool:
            try:
                for job, seconds in zip(jobs, pool.map(seconds_of, jobs), strict=True):
                    if not math.isnan(seconds):
                        self.timed[job.row] = seconds
            except BrokenProcessPool:  # killed for lack of memory: the cell itself will say so
                pass


def seconds_of(job: "Job") -> float:
    """Return about how many seconds a cell takes, by a few batches that leave nothing behind; NaN where they fail."""
    from lightning.pytorch import Callback, Trainer

    from experiments.train.command import build, import_all
    from experiments.train.embed import use_frozen_encoders

    ends: dict[str, list[float]] = {"train": [], "validation": []}

    class Clock(Callback):
        """Note when batches end."""

        def on_train_batch_end(self, *_: object) -> None:
            ends["train"].append(time.perf_counter())

        def on_validation_batch_end(self, *_: object) -> None:
            ends["validation"].append(time.perf_counter())

        def on_train_epoch_start(self, *_: object) -> None:
            ends["train"].append(time.perf_counter())

        def on_validation_epoch_start(self, *_: object) -> None:
            ends["validation"].append(time.perf_counter())

    import_all()  # before the clock starts: cells are forked from a process that has
    start = time.perf_counter()
    alone = ["--model.init_args.init_from", "null"] if job.needs else []  # whose checkpoints are not there yet
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run = build([*job.command, *alone])
            if not alone:  # else embeddings of random weights would be kept
                use_frozen_encoders(run.model, run.datamodule)
            settings = run.config.fit.trainer
            epochs: int = settings.max_epochs
            trainer = Trainer(
                fast_dev_run=_BATCHES,
                accelerator=settings.accelerator,
                devices=1,
                precision=settings.precision,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[Clock()],
            )
            if epochs:  # else it trains nothing
                trainer.fit(run.model, datamodule=run.datamodule)
            batches = {"train": run.datamodule.train_dataloader(), "validation": run.datamodule.val_dataloader()}
            epoch = sum(
                len(batches[name]) * min((after - before for before, after in pairwise(of)), default=0.0)
                for name, of in ends.items()
            )
    except (Exception, SystemExit):  # what is wrong is said where the cell itself is run
        return math.nan
    finally:
        logging.disable(logging.NOTSET)
    return time.perf_counter() - start + epochs * epoch
