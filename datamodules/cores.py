"""How many processor cores this process may use. Standard library alone."""

import os


def usable_cores() -> int:
    """Return the number of cores that the process may run on: those of its job, not those of the machine."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
