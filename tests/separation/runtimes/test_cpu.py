from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from octet.separation.runtimes.cpu import available_cores, container_quota, streams_for

# Blocks of 8 MiB come and go, which teaches glibc to keep them. Then many are there at once, and
# all but the last are freed: where they lie in one heap, it keeps them all in place.
PROGRAM = """
import sys
import numpy as np, psutil
from octet.separation.runtimes.cpu import return_large_blocks

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


def test_no_more_cores_than_the_machine_has():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "quota"), [("150000 100000", 1.5), ("max 100000", None), ("garbage", None)]
)
def test_a_quota_of_cgroups_v2_is_read(tmp_path, text, quota):
    (tmp_path / "cpu.max").write_text(text)

    assert container_quota(tmp_path) == quota


@pytest.mark.parametrize(("limit", "quota"), [("400000", 4), ("-1", None)])
def test_a_quota_of_cgroups_v1_is_read(tmp_path, limit, quota):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(limit)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")

    assert container_quota(tmp_path) == quota


def test_without_cgroups_there_is_no_quota(tmp_path):
    assert container_quota(tmp_path) is None


def test_small_networks_get_a_stream_for_each_core_and_large_ones_few():
    assert streams_for(4 * 2**20, cores=2) == 2
    assert streams_for(4 * 2**20, cores=64) == 8
    assert streams_for(160 * 2**20, cores=2) == 1
    assert streams_for(160 * 2**20, cores=16) == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large blocks")
def test_large_blocks_that_are_freed_leave_the_process() -> None:
    def kept(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert kept("as usual") > 100
    assert kept("returned") < 20
