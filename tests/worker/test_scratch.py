"""Scratch space belongs to living workers; what dead ones left is swept."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from octet.errors import OutputError
from octet.worker.scratch import Scratch, sweep

if TYPE_CHECKING:
    from pathlib import Path


def test_the_folder_is_gone_with_its_worker(tmp_path: Path) -> None:
    with Scratch(tmp_path / "new" / "base") as scratch:
        (scratch.folder / "song").write_bytes(b"x")

    assert list((tmp_path / "new" / "base").iterdir()) == []


def test_living_workers_are_left_alone(tmp_path: Path) -> None:
    with Scratch(tmp_path) as first, Scratch(tmp_path) as second:
        assert sweep(tmp_path) == 0
        assert first.folder.is_dir()
        assert second.folder.is_dir()


def test_what_a_killed_worker_left_is_swept_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\n"
        "from octet.worker.scratch import Scratch\n"
        "scratch = Scratch(pathlib.Path(sys.argv[1])).__enter__()\n"
        "(scratch.folder / 'song').write_bytes(b'x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    [left] = tmp_path.glob("octet-worker-*/song")
    (tmp_path / "somebody's").mkdir()

    with Scratch(tmp_path) as scratch:
        assert not left.exists()
        assert sorted(tmp_path.iterdir()) == sorted(
            [scratch.folder, scratch.folder.with_suffix(".lock"), tmp_path / "somebody's"]
        )


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="no scratch folder"), Scratch(tmp_path / "file"):
        pass
