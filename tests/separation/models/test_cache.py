from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from octet.errors import ModelUnavailableError
from octet.separation.models.cache import Cache, alive, default_folder, sha256_of


def test_octet_cache_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OCTET_CACHE", str(tmp_path))

    assert default_folder() == tmp_path
    assert Cache().folder == tmp_path


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCTET_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")

    assert default_folder() == Path.home() / ".cache" / "octet"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = Cache(tmp_path).converted("abc")

    with pytest.raises(RuntimeError), Cache(tmp_path).writing(target) as temporary:  # noqa: PT012  # the block is what fails
        assert temporary is not None
        temporary.write_bytes(b"half")
        raise RuntimeError

    assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == [".abc.onnx.lock"]


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    target = cache.converted("abc")
    with cache.writing(target) as temporary:
        assert temporary is not None
        temporary.write_bytes(b"first")

    with cache.writing(target) as temporary:
        assert temporary is None

    assert target.read_bytes() == b"first"


def _write_slowly(folder: Path, done: Path) -> None:
    cache = Cache(folder)
    with cache.writing(cache.converted("abc")) as temporary:
        if temporary is not None:
            time.sleep(0.3)
            temporary.write_bytes(b"whole")
            (done / str(os.getpid())).touch()


def test_processes_at_once_write_it_once(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_write_slowly, args=(tmp_path / "cache", done)) for _ in range(3)
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert Cache(tmp_path / "cache").converted("abc").read_bytes() == b"whole"
    assert len(list(done.iterdir())) == 1


def _write_and_hang(folder: Path) -> None:
    cache = Cache(folder)
    with cache.writing(cache.converted("abc")) as temporary:
        assert temporary is not None
        temporary.write_bytes(b"half")
        time.sleep(60)


def test_a_killed_writer_neither_blocks_the_next_nor_leaves_its_half(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    target = cache.converted("abc")
    process = multiprocessing.get_context("spawn").Process(target=_write_and_hang, args=(tmp_path,))
    process.start()
    half = target.with_name(".abc.onnx.part")
    while not half.exists() or half.read_bytes() != b"half":
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    with cache.writing(target) as temporary:
        assert temporary is not None
        assert not temporary.exists()
        temporary.write_bytes(b"whole")

    assert target.read_bytes() == b"whole"
    assert not half.exists()


def test_waiting_for_another_process_is_told(tmp_path: Path) -> None:
    # Given a process that writes,
    cache = Cache(tmp_path)
    target = cache.converted("abc")
    process = multiprocessing.get_context("spawn").Process(target=_write_and_hang, args=(tmp_path,))
    process.start()
    while not target.with_name(".abc.onnx.part").exists():
        time.sleep(0.05)
    told: list[tuple[str, int, int]] = []
    threading.Timer(1, process.kill).start()

    # when another wants the same, then it is told that it waits.
    with (
        alive(lambda *at: told.append(at), "working") as report,
        cache.writing(target, report) as temporary,
    ):
        assert temporary is not None
        temporary.write_bytes(b"whole")
    process.join()
    assert told[0] == ("waiting for another process with abc.onnx", 0, 0)


def test_work_that_reports_nothing_is_shown_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octet.separation.models.cache.HEARTBEAT_SECONDS", 0.1)
    told: list[tuple[str, int, int]] = []

    with alive(lambda *at: told.append(at), "working") as report:
        time.sleep(0.5)
        report("converting", 0, 1)
        time.sleep(0.5)
    before = len(told)
    time.sleep(0.3)

    assert told[:2] == [("working", 0, 0)] * 2
    assert told[-2:] == [("converting", 0, 1)] * 2
    assert len(told) == before, "it goes on after the end"


def test_an_error_ends_the_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()

    with pytest.raises(RuntimeError), alive(lambda *_: None, "working"):
        raise RuntimeError

    assert threading.active_count() == before


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")

    with (
        pytest.raises(ModelUnavailableError, match="OCTET_CACHE"),
        cache.writing(cache.converted("abc")),
    ):
        pass


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"octet" * 100_000)

    assert sha256_of(path) == hashlib.sha256(b"octet" * 100_000).hexdigest()
