"""Large blocks that are free do not stay with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Blocks of 8 MiB come and go, which teaches glibc to keep them. Then many are there at once, and
# all but the last are freed: where they lie in one heap, it keeps them all in place.
PROGRAM = """
import sys
import numpy as np, psutil
from octet.separation.runtimes.allocator import return_large_blocks

if sys.argv[1] == "returned":
    assert return_large_blocks()
for _ in range(4):
    np.ones(2**20)
before = psutil.Process().memory_info().rss
blocks = [np.ones(2**20) for _ in range(20)]
last = blocks.pop()
blocks.clear()
print((psutil.Process().memory_info().rss - before) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large blocks")
def test_large_blocks_that_are_freed_leave_the_process() -> None:
    def kept(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert kept("as usual") > 100
    assert kept("returned") < 20
