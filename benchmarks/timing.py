"""Contestants that run turn by turn, so that a change of the machine's load meets all of them."""

import resource
import statistics
import time
from collections.abc import Callable

import torch


def cpu_seconds() -> float:
    """Return CPU time of this process and the children it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def gpu_seconds() -> float:
    """Return the wall clock once the GPU has done all that it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock that measures what work on a device costs."""
    return gpu_seconds if device.type == "cuda" else cpu_seconds


def timed(run: Callable[[], object], clock: Callable[[], float] = cpu_seconds) -> Callable[[], float]:
    """Make a contestant that returns its seconds."""

    def contestant() -> float:
        start = clock()
        run()
        return clock() - start

    return contestant


def race(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run the contestants turn by turn, once for warming up, and return the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            seconds = run()
            if turn:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}
