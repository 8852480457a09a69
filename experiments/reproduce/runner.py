"""Run cells as subprocesses, several at a time, and survive failures of theirs or interrupts of its own.

Cells are forked from a process that has imported torch and the project already: over a table of small models the
imports would take as long as half an hour. A cell's process leads a session of its own and dies with this process; a
kernel lock per cell, released however this process ends, keeps two runners from the same cell.
"""

import contextlib
import multiprocessing
import os
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from filelock import FileLock

from datamodules.errors import Busy
from datamodules.locks import HANDED_ON, hold
from experiments.errors import Interrupted
from experiments.reproduce.estimate import Estimate
from experiments.reproduce.plan import Job
from experiments.results.cell import state, write_json
from experiments.results.quantities import duration
from experiments.settings import class_paths
from experiments.settings.redaction import hide_words

_POLL = 0.2  # seconds at most between looks at the running cells
_GRACE = 10.0  # seconds that an interrupted cell has to end by itself
_TAIL = 12  # lines of a failed cell's log


@dataclass
class Outcome:
    """Cells that are done, and those that failed.

    Attributes:
        done: Folders of the cells that are done.
        failed: Reason by name of the cell.
    """

    done: set[Path] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    started: float
    lock: FileLock


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Interrupted`."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_jobs(jobs: Sequence[Job], *, program: Path, workers: int, outcome: Outcome, estimate: Estimate) -> None:
    """Run cells, those that others need first.

    Args:
        jobs: Cells to run, each after those it needs.
        program: The project's ``cli.py``.
        workers: How many run at a time.
        outcome: Cells that are done or refused already; the others are added.
        estimate: Of their run times, corrected by every cell that ends.

    Raises:
        Interrupted: If a signal arrived; the running cells were ended.
    """
    pending, running = list({job.directory: job for job in jobs}.values()), list[_Running]()  # of a table given twice
    refused = len(outcome.failed)
    names = {job.directory: job.name for job in pending}
    order = TopologicalSorter({job.directory: names.keys() & set(job.needs) for job in pending})
    order.prepare()
    ready = set[Path]()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_imports(program.parent))
    progress = _Progress(len(pending), workers, estimate)
    try:
        while pending or running:
            for cell in [cell for cell in running if not cell.process.is_alive()]:
                running.remove(cell)
                _settle(cell, outcome)
                order.done(cell.job.directory)
                progress.finished(cell.job, time.monotonic() - cell.started)
            ready.update(order.get_ready())
            for job in [job for job in pending if job.directory in ready]:
                started: _Running | bool | None = True
                if lost := [path for path in job.needs if path not in outcome.done]:
                    failed = f"{names[lost[0]]}, which failed" if lost[0] in names else f"{lost[0]}, which is not done"
                    outcome.failed[job.name] = f"needs {failed}"
                elif len(running) == workers or (started := _start(job, program, context)) is None:
                    continue  # looked at again when a cell has ended, also one of another process
                elif started is True:
                    outcome.done.add(job.directory)
                pending.remove(job)
                if isinstance(started, _Running):
                    running.append(started)
                else:
                    order.done(job.directory)
            progress.show(pending, running, len(outcome.failed) - refused)
            if running:
                wait([cell.process.sentinel for cell in running], _POLL)
            elif pending:
                time.sleep(_POLL)
    except BaseException:
        _end(running)
        raise
    finally:
        progress.close()


def _imports(project: Path) -> list[str]:
    """Return what every cell imports: the training command and all that YAML can name."""
    train = project / "experiments" / "train" / "command.py"
    return ["experiments.train.command", *class_paths.modules(project)] if train.exists() else []


def typed(program: Path, command: Sequence[str]) -> str:
    """Return a command line as a user would type it, less its secrets."""
    return shlex.join(["python", str(program), *hide_words(command)])


def call(command: Sequence[str]) -> int:
    """Run one command to its end, or to an interrupt."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        _signal_group(process.pid, signal.SIGKILL)
        raise


def _start(job: Job, program: Path, context: multiprocessing.context.ForkServerContext) -> _Running | bool | None:
    """Start a cell; return True if it is done already, None if another process has it."""
    try:
        lock = hold(job.directory)
    except Busy:
        return None
    if state(job.directory, job.request) == "done":
        lock.release()
        return True
    try:
        write_json(job.directory / "request.json", job.request)
    except OSError:
        lock.release()
        raise
    environment = {**os.environ, HANDED_ON: str(job.directory.resolve())}
    arguments = (str(program), job.command, str(job.directory / "log.txt"), environment)
    process = context.Process(target=_run_cell, args=arguments)
    process.start()
    return _Running(job, process, time.monotonic(), lock)


def _run_cell(program: str, command: Sequence[str], log: str, environment: Mapping[str, str]) -> None:
    """Run a command in a cell's own process."""
    os.setsid()
    threading.Thread(target=_die_with_runner, daemon=True).start()
    try:
        with open(log, "ab") as file:
            file.write(f"$ {typed(Path(program), command)}\n".encode())
            file.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError as error:
        sys.exit(f"error: {log}: {error.strerror}")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.update(environment)
    sys.argv = [program, *command]
    runpy.run_path(program, run_name="__main__")


def _die_with_runner() -> None:
    runner = multiprocessing.parent_process()
    assert runner is not None
    runner.join()
    os.killpg(0, signal.SIGKILL)


def _settle(cell: _Running, outcome: Outcome) -> None:
    job, code = cell.job, cell.process.exitcode or 0
    cell.lock.release()
    found = state(job.directory, job.request)
    if code == 0 and found == "done":
        outcome.done.add(job.directory)
        return
    if code < 0:
        reason = f"ended by {signal.Signals(-code).name}"
    elif code > 0:
        reason = f"exit code {code}"
    else:
        reason = "it ended without a result" if found != "changed" else "its result is of another request"
    log = job.directory / "log.txt"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]  # earlier attempts are above
    begins = starts[-1] if starts else -1
    tail = [f"    {line}" for line in lines[begins + 1 :] if line.strip()][-_TAIL:]
    outcome.failed[job.name] = "\n".join([f"{reason}; {log}:", *tail])


def _end(running: Sequence[_Running]) -> None:
    for cell in running:
        _signal_group(cell.process.pid, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    for cell in running:
        cell.process.join(max(0.0, until - time.monotonic()))
        _signal_group(cell.process.pid, signal.SIGKILL)  # also what the cell itself started and left
        cell.process.join()
        cell.lock.release()


def _signal_group(group: int | None, number: signal.Signals) -> None:
    assert group  # 0 would be our own
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Progress:
    """One live line on a terminal; elsewhere a line whenever a cell starts or ends."""

    def __init__(self, total: int, workers: int, estimate: Estimate) -> None:
        self.total = total
        self.workers = workers
        self.estimate = estimate
        self.live = sys.stderr.isatty()
        self.last = ""

    def finished(self, job: Job, seconds: float) -> None:
        self.estimate.measured.setdefault(job.row, []).append(seconds)

    def show(self, pending: Sequence[Job], running: Sequence[_Running], failed: int) -> None:
        done = self.total - len(pending) - len(running) - failed
        names = ", ".join(cell.job.name for cell in running[:3]) or ("waiting for another process" if pending else "")
        counts = f"{done}/{self.total} done, {len(running)} running, {failed} failed"
        left = self._seconds_left(pending, running)
        line = f"{counts}, {duration(left)} left: {names}" if names else counts
        if self.live:
            print(f"\r\033[K{line[:118]}", end="", file=sys.stderr, flush=True)
        elif counts + names != self.last:
            print(line, file=sys.stderr, flush=True)
        self.last = counts + names

    def close(self) -> None:
        if self.live and self.last:
            print(file=sys.stderr)

    def _seconds_left(self, pending: Sequence[Job], running: Sequence[_Running]) -> float:
        now = time.monotonic()
        rest = sum(max(0.0, self.estimate.of(cell.job.row) - (now - cell.started)) for cell in running)
        return (rest + sum(self.estimate.of(job.row) for job in pending)) / self.workers
