"""The examples run as they stand, against a real service."""

# ruff: noqa: F811 - the fixtures of the API's tests are imported by their names

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.outbound.sign import new_secret, signed_headers
from octet.tracks import TRACKS
from tests.api.conftest import (  # noqa: F401 - fixtures
    settings,
    shared_url,
    store,
    store_folder,
    valkey,
    worker,
)
from tests.api.songs import name_of, song
from tests.api.worker import StandIn, track_bytes
from tests.servers import missing

if TYPE_CHECKING:
    import redis

EXAMPLES = Path(__file__).parent.parent / "examples"
NAME = name_of(song(1))


@pytest.fixture
def file(tmp_path: Path, store: Path, valkey: redis.Redis) -> Path:
    """A song's file, while nothing is in the service yet."""
    path = tmp_path / "song.mp3"
    path.write_bytes(song(1))
    return path


def run(worker: StandIn, folder: Path, url: str, *command: str | Path) -> str:
    """Runs an example to its end, while the stand-in does the one job that it makes."""
    finishing = threading.Thread(target=worker.finish)
    finishing.start()
    ran = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**os.environ, "OCTET_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    finishing.join()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_sample_request(worker: StandIn, file: Path, shared_url: str, tmp_path: Path) -> None:
    script = EXAMPLES / "sample_request.py"
    said = run(worker, tmp_path, shared_url, sys.executable, script, file, shared_url)
    assert "Song enqueued for separation" in said
    for track in TRACKS:
        fetched = tmp_path / f"{NAME[:12]}-{track}.mp3"
        assert fetched.read_bytes() == track_bytes(NAME, track)


def test_the_client(worker: StandIn, file: Path, shared_url: str, tmp_path: Path) -> None:
    script = EXAMPLES / "client.py"
    said = run(worker, tmp_path, shared_url, sys.executable, script, file, tmp_path / "stems")
    assert "done, 100 %" in said
    assert (tmp_path / "stems" / "full.mp3").read_bytes() == track_bytes(NAME, "full")


@pytest.mark.parametrize("script", ["curl.sh", "curl-apiv1.sh"])
def test_curl(worker: StandIn, file: Path, shared_url: str, tmp_path: Path, script: str) -> None:
    if shutil.which("curl") is None:
        missing("no curl here: apt-get install curl")
    run(worker, tmp_path, shared_url, "bash", EXAMPLES / script, file)
    assert (tmp_path / f"{NAME}-vocals.mp3").read_bytes() == track_bytes(NAME, "vocals")


def test_the_receiver_believes_what_is_signed(tmp_path: Path) -> None:
    secret = new_secret()
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "callback_receiver.py", "0"],
        env={**os.environ, "OCTET_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        try:
            url = said.readline().split()[-1]
            data = {"id": NAME, "outcome": "complete", "error": None}
            body = json.dumps({"type": "job.done", "data": data})
            genuine = signed_headers(secret, "msg_1", datetime.now(UTC), body)
            forged = signed_headers(new_secret(), "msg_2", datetime.now(UTC), body)
            assert httpx.post(url, content=body, headers=genuine).status_code == 204
            assert httpx.post(url, content=body, headers=genuine).status_code == 204
            assert httpx.post(url, content=body, headers=forged).status_code == 401
        finally:
            process.terminate()
            process.wait()
        lines = said.read().splitlines()
    assert lines[0] == f"job.done: {NAME}, complete"
    assert lines[1].startswith("refused:")
    assert len(lines) == 2
