import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from lightning_modules.nn.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([faults() for _ in range(20)][-1])
keep_freed_memory()
print([faults() for _ in range(20)][-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_large_tensor_gets_the_memory_of_the_one_before_it():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    without, keeping = map(int, found.stdout.split())
    assert keeping < 100
    assert without > 1000  # else the line above shows nothing
