"""datamodules/store/parallel.py."""

import os
import signal
import time

import pytest

from datamodules.errors import DataError
from datamodules.store.parallel import ordered


def slow_square(n):
    time.sleep(0.02 * (5 - n % 5))
    return n * n


def die(n):
    if n == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(ordered(slow_square, range(12), workers)) == [n * n for n in range(12)]


def test_nothing_to_do():
    assert list(ordered(slow_square, [], 4)) == []


def test_a_killed_worker_is_told_plainly():
    with pytest.raises(DataError, match="fewer --workers"):
        list(ordered(die, range(4), 2))


def test_stopping_early_leaves_no_worker_behind():
    results = ordered(slow_square, range(100), 2)
    assert next(results) == 0
    results.close()
    with pytest.raises(StopIteration):
        next(results)
