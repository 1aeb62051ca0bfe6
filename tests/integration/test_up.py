"""`octet up`: the whole service as one command, killed and started again."""

import base64
import hashlib
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from octet.tracks import TRACKS
from tests.chaos import FULL, rounds
from tests.cli.test_separate import make_song
from tests.servers import find_free_port

pytestmark = pytest.mark.timeout(240)

# Without the authorities of TLS, whose reading takes longer than a request.
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
get, post = partial(httpx.get, verify=_PLAIN), partial(httpx.post, verify=_PLAIN)


class Up:
    """A running `octet up` and the processes that it started."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "octet", "up", "--data-dir", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OCTET_LEASE": "3", **environment},
        )
        self.said: list[str] = []

    def until_ready(self) -> None:
        """Reads what it says until it accepts songs."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Octet is ready at "):
                self.url = line.split()[4]
                return
        raise AssertionError("octet up ended: " + "".join(self.said))

    def family(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def kill_all(self) -> None:
        """kill -9 of every process, the first one last, so that none can tidy up."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=20)


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[Up]:
    up = Up(folder, *options, **environment)
    try:
        up.until_ready()
        yield up
    finally:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGINT)
            try:
                up.process.wait(timeout=60)
            finally:
                up.process.kill()
        assert up.process.stdout
        up.process.stdout.close()


def submit(url: str, song: Path) -> str:
    body = {"mp3": base64.b64encode(song.read_bytes()).decode()}
    answer = post(f"{url}/apiv1/separate", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["hash"])


def manifest(url: str, song: str, within: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        answer = get(f"{url}/v1/songs/{song}", timeout=30)
        if answer.status_code == 200:
            return dict(answer.json())
        assert answer.status_code == 404, answer.text
        time.sleep(0.2)
    raise AssertionError(get(f"{url}/v1/jobs/{song}", timeout=30).text)


def test_a_song_goes_through_and_all_stops_in_order(tmp_path):
    # given the service on an empty folder
    song = make_song(tmp_path / "song.wav", 3)
    with running(tmp_path / "data") as up:
        # when a song is sent as the lab's clients do
        name = submit(up.url, song)
        # then its eight tracks are published, as the manifest says
        receipt = manifest(up.url, name)
        assert name == hashlib.sha256(song.read_bytes()).hexdigest()
        assert receipt["outcome"] == "complete"
        assert set(receipt["tracks"]) == set(TRACKS)
        for track, facts in receipt["tracks"].items():
            answer = get(f"{up.url}/apiv1/track/{name}/{track}.mp3", timeout=30)
            assert answer.headers["content-type"] == "audio/mpeg"
            assert hashlib.sha256(answer.content).hexdigest() == facts["sha256"]
        # and Ctrl-C ends every process
        family = up.family()
        assert len(family) >= 4
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=60) == 0
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive


def test_after_kill_9_of_everything_it_goes_on_where_it_was(tmp_path):
    # given a service with one song in the works and two behind it
    data = tmp_path / "data"
    songs = [
        make_song(tmp_path / f"{seed}.wav", 20 if seed == 1 else 2, seed) for seed in (1, 2, 3)
    ]
    with running(data) as up:
        names = [submit(up.url, song) for song in songs]
        deadline = time.monotonic() + 60
        while get(f"{up.url}/v1/jobs/{names[0]}", timeout=30).json()["percent"] <= 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # when every process is killed
        up.kill_all()
    # and the same command is given again
    with running(data) as up:
        # then all three end complete
        for name in names:
            assert manifest(up.url, name)["outcome"] == "complete"
        assert get(f"{up.url}/apiv1/queue", timeout=30).json() == {"queue": []}


@pytest.mark.timeout(3600 if FULL else 240)
def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path, record_property):
    # given a service that is killed again and again, with kill -9 of every process
    data, names = tmp_path / "data", []
    chance = random.Random(11)
    for number in range(rounds(1, 25)):
        # while it starts
        starting = Up(data)
        time.sleep(chance.uniform(0, 2))
        starting.kill_all()
        assert starting.process.stdout
        starting.process.stdout.close()
        # and a moment after it has taken in songs
        with running(data) as up:
            songs = [make_song(tmp_path / f"{number}{n}.wav", 1, 10 * number + n) for n in (1, 2)]
            names += [submit(up.url, song) for song in songs]
            time.sleep(chance.uniform(0, 2))
            up.kill_all()
    # when it is started once more, then each song is complete and whole
    with running(data) as up:
        for name in names:
            receipt = manifest(up.url, name)
            assert receipt["outcome"] == "complete"
            assert set(receipt["tracks"]) == set(TRACKS)
            for track, facts in receipt["tracks"].items():
                answer = get(f"{up.url}/v1/songs/{name}/tracks/{track}", timeout=30)
                assert hashlib.sha256(answer.content).hexdigest() == facts["sha256"]
        # and nothing waits, nothing was given up, and nothing half-written is left
        assert get(f"{up.url}/apiv1/queue", timeout=30).json() == {"queue": []}
        assert get(f"{up.url}/v1/dead", timeout=30).json()["count"] == 0
    kept = {path.name for path in (data / "storage" / "demucs-output").glob("*.*")}
    whole = {f"{name}-{track}.mp3" for name in names for track in TRACKS}
    assert kept - {".octet", ".staging"} == whole | {f"{name}-manifest.json" for name in names}
    kills = 2 * rounds(1, 25)
    record_property("figure", f"{kills} kills, {len(names)} songs, all complete and whole")


def test_children_do_not_outlive_a_killed_parent(tmp_path):
    with running(tmp_path / "data") as up:
        # given the service, when only its first process is killed
        family = up.family()
        up.process.kill()
        up.process.wait()
        # then the others end, and the folder is free for the next start
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
    with running(tmp_path / "data") as again:
        assert get(f"{again.url}/readyz", timeout=30).status_code == 200


def test_two_workers_share_neither_the_port_of_metrics_nor_a_name(tmp_path):
    # given settings that two workers cannot both have
    port = find_free_port()
    named = {"OCTET_METRICS_PORT": str(port), "OCTET_WORKER_ID": "here"}
    with running(tmp_path / "data", "--workers", "2", **named) as up:
        # then both are there, each with a port and a name of its own
        until = time.monotonic() + 60
        for number in (0, 1):
            while not _answers(f"http://127.0.0.1:{port + number}/metrics"):
                assert time.monotonic() < until
                time.sleep(0.1)
        while get(f"{up.url}/v1/queue", timeout=30).json()["workers"] != 2:
            assert time.monotonic() < until
            time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One service for the tests after which it is as it was."""
    with running(tmp_path_factory.mktemp("shared")) as up:
        yield up


def second(folder: Path, port: str) -> subprocess.CompletedProcess[str]:
    """Another service, that cannot start."""
    command = [sys.executable, "-m", "octet", "up", "--port", port, "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_folder_serves_one(shared):
    # given a running service, when a second one is started on its folder
    done = second(shared.folder, "0")
    # then it says so and ends
    assert done.returncode == 1
    assert "another Octet uses the folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(shared, tmp_path):
    done = second(tmp_path, shared.url.rpartition(":")[2])
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_a_worker_that_dies_is_started_again(shared, tmp_path):
    # given the service, when its worker and what it started are killed
    [worker] = [one for one in shared.family() if one.cmdline()[-1] == "worker"]
    for process in (worker, *worker.children(recursive=True)):
        process.kill()
    # then a song sent now is still separated
    name = submit(shared.url, make_song(tmp_path / "song.wav", 1))
    assert manifest(shared.url, name)["outcome"] == "complete"
