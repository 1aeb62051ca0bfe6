from __future__ import annotations

import os

import pytest

from octet.separation.runtimes.cores import available_cores, container_quota


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
