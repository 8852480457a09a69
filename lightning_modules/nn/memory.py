"""How the process holds memory while it trains on a CPU."""

import ctypes

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make the C library keep what is freed for the next step instead of giving it back to the system.

    By default glibc asks the system for every large tensor anew, and the system clears each page: a tenth to a third
    of the time of a training step of a 3D network. Where there is no glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
