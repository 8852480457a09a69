import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from lightning_modules.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([faults() for _ in range(20)][-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_large_tensor_gets_the_memory_of_the_one_before_it():
    def last(keep):
        found = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True)
        return int(found.stdout)

    assert last(keep=True) < 100
    assert last(keep=False) > 1000  # else the test above shows nothing
