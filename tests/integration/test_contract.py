"""Octet as strangers meet it: the tools of others, the contract's names, whole processes.

`octet api` and `octet worker` run on Redis and on Ceph's S3 gateway. Nothing of Octet is used
to talk to them: HTTP by the standard library, redis-cli for the queue and the logs, and curl,
which signs S3 requests by itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from octet.tracks import TRACKS
from tests.ceph import ACCESS_KEY, SECRET_KEY
from tests.cli.test_separate import make_song
from tests.servers import QueueServers, find_free_port, missing
from tests.worker.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ceph import Ceph

pytestmark = pytest.mark.timeout(240)

SIGNING_SECRET = "whsec_" + base64.b64encode(b"a secret of these tests alone").decode()


@dataclass(frozen=True)
class Place:
    """Where everything is, for a client that has read the contract and nothing else."""

    url: str
    redis_port: int
    s3: str
    said: tuple[Path, ...]

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Status, type and body of an answer."""
        request = urllib.request.Request(self.url + path, body, method=method)  # noqa: S310
        request.add_header("Content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read()

    def redis(self, *command: str) -> str:
        """What redis-cli prints."""
        program = ["redis-cli", "-p", str(self.redis_port), *command]
        return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()

    def s3_put(self, path: str, *more: str) -> None:
        """Makes a bucket or puts an object with curl, whose signatures are its own."""
        command = ["curl", "-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", *more]
        user = ["--user", f"{ACCESS_KEY}:{SECRET_KEY}"]
        unread = ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        subprocess.run([*command, *user, *unread, f"{self.s3}/{path}"], check=True, timeout=60)

    def until_there(self, path: str, within: float = 120) -> bytes:
        """What is at an address, asked for again and again as sample scripts do."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            status, _, body = self.ask("GET", path)
            if status == 200:
                return body
            assert status == 404, body
            time.sleep(0.3)
        raise AssertionError(f"nothing at {path}")

    def until_track(self, name: str, track: str = "vocals.mp3") -> bytes:
        """The same for a track."""
        return self.until_there(f"/apiv1/track/{name}/{track}")


def name_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def running(command: str, environment: dict[str, str], said: Path) -> Iterator[None]:
    """A command of Octet, until SIGTERM, which it takes for a good end."""
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "octet", command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )
    try:
        yield
        process.terminate()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def place(
    queue_servers: QueueServers,
    ceph: Ceph,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """API and worker, with the variables of the contract and the default buckets."""
    for tool in ("redis-cli", "curl"):
        if shutil.which(tool) is None:
            missing(f"no {tool} here: apt-get install redis-tools curl")
    server = queue_servers("redis", "contract")
    with server.client() as client:
        client.flushall()
    folder, port = tmp_path_factory.mktemp("contract"), find_free_port()
    environment = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(server.port),
        "MINIO_ENDPOINT": ceph.endpoint,
        "MINIO_ACCESS_KEY": ACCESS_KEY,
        "MINIO_SECRET_KEY": SECRET_KEY,
        "OCTET_PORT": str(port),
        "OCTET_SCRATCH": str(folder / "scratch"),
        "OCTET_ALLOW_HOSTS": "127.0.0.1",
        "OCTET_WEBHOOK_SECRET": SIGNING_SECRET,
        "OCTET_LOG_LEVEL": "debug",
    }
    said = (folder / "api.log", folder / "worker.log")
    there = Place(f"http://127.0.0.1:{port}", server.port, f"http://{ceph.endpoint}", said)
    with ExitStack() as stack:
        for command, log in zip(("api", "worker"), said, strict=True):
            stack.enter_context(running(command, environment, log))
        until = time.monotonic() + 60
        while True:
            try:
                if there.ask("GET", "/readyz")[0] == 200:
                    break
            except urllib.error.URLError:
                pass
            assert time.monotonic() < until, said[0].read_text()
            time.sleep(0.1)
        yield there


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_client_of_the_lab(place: Place, tmp_path: Path, slash: str) -> None:
    # given a load balancer that is content with the front page, and a song
    status, kind, _ = place.ask("GET", "/")
    assert (status, kind.partition(";")[0]) == (200, "text/html")
    song = make_song(tmp_path / "song.wav", 1, seed=len(slash))
    name = name_of(song)
    with Receiver() as receiver:
        data = {"mp3": "data/short.mp3", "data": "to be returned"}
        # when it is sent as jsonpickle writes a dictionary: plain JSON
        document = {
            "mp3": base64.b64encode(song.read_bytes()).decode(),
            "callback": {"url": receiver.url, "data": data},
        }
        sent = place.ask("POST", f"/apiv1/separate{slash}", json.dumps(document).encode())
        # then the shapes are those that the sample scripts expect
        assert sent[0] == 200
        assert json.loads(sent[2]) == {"hash": name, "reason": "Song enqueued for separation"}
        status, _, queue = place.ask("GET", f"/apiv1/queue{slash}", b"null")
        assert status == 200
        assert list(json.loads(queue)) == ["queue"]
        # and all tracks come, under each of their names
        place.until_track(name, f"vocals.mp3{slash}")
        for track in TRACKS:
            plain = place.until_track(name, track + slash)
            assert plain == place.until_track(name, f"{track}.mp3")
            assert plain[:3] == b"ID3" or plain[0] == 0xFF
        kind = place.ask("GET", f"/apiv1/track/{name}/drums")[1]
        assert kind == "audio/mpeg"
        assert place.until_track(name, f"base{slash}") == place.until_track(name, "bass")
        # and the callback has the client's data as its body
        until = time.monotonic() + 30
        while not receiver.got and time.monotonic() < until:
            time.sleep(0.1)
        assert [json.loads(request.body) for request in receiver.got] == [data]
    # and each way to remove a track says what it did
    for method, track in (("GET", "vocals.mp3"), ("DELETE", "base")):
        status, _, removed = place.ask(method, f"/apiv1/remove/{name}/{track}{slash}")
        assert status == 200
        assert list(json.loads(removed)) == ["reason"]
        assert place.ask("GET", f"/apiv1/track/{name}/{track}")[0] == 404


SHAPES = {
    "the contract's": '{{"hash": "{name}", "bucket": "demucs-bucket", '
    '"object": "queue/{name}.mp3", "callback": null}}',
    "other keys": '{{"songhash": "{name}", "input_bucket": "demucs-bucket", '
    '"input_object": "queue/{name}.mp3", "extra": {{"unknown": [1]}}}}',
    "object_name": '{{"hash": "{name}", "bucket": "elsewhere", "object_name": "a song"}}',
    "key and model": '{{"hash": "{name}", "key": "queue/{name}.mp3", "model": "pocket"}}',
    "no place": '{{"hash": "{name}"}}',
    "no place, at the top": '{{"hash": "{name}"}}',
    "a bare name": "{name}",
    "SHA-224": '{{"hash": "{name}", "bucket": "demucs-bucket", "object": "queue/{name}.mp3"}}',
}
PLACES = {
    "object_name": "elsewhere/a%20song",
    "no place, at the top": "demucs-bucket/{name}.mp3",
}


def test_jobs_that_others_push(place: Place, tmp_path: Path) -> None:
    # given songs that an S3 client has put into the bucket, which nobody has registered
    place.s3_put("elsewhere", "-X", "PUT")
    names = {}
    for seed, kind in enumerate(SHAPES, 10):
        song = make_song(tmp_path / f"{seed}.wav", 0.5, seed)
        digest = hashlib.sha224 if kind == "SHA-224" else hashlib.sha256
        names[kind] = digest(song.read_bytes()).hexdigest()
        path = PLACES.get(kind, "demucs-bucket/queue/{name}.mp3")
        place.s3_put(path.format(name=names[kind]), "-T", str(song))
    # when redis-cli pushes a job for each, in a shape of its own, and one that nobody can read
    place.redis("LPUSH", "toWorker", '{"no": "song"}')
    for kind, shape in SHAPES.items():
        place.redis("LPUSH", "toWorker", shape.format(name=names[kind]))
    # then all of them are separated, and the worker goes on past the other
    for name in names.values():
        place.until_track(name)
        manifest = json.loads(place.until_there(f"/v1/songs/{name}"))
        assert manifest["outcome"] == "complete"
        assert set(manifest["tracks"]) == set(TRACKS)
    letters = json.loads(place.ask("GET", "/v1/dead")[2])
    assert [letter["message"] for letter in letters["letters"]] == ['{"no": "song"}']


def test_a_reader_of_the_logs(place: Place, tmp_path: Path) -> None:
    # given a job from its start to its end
    song = make_song(tmp_path / "song.wav", 0.5, 99)
    name = name_of(song)
    document = {"mp3": base64.b64encode(song.read_bytes()).decode()}
    place.ask("POST", "/apiv1/separate", json.dumps(document).encode())
    place.until_track(name)
    # when the lines are popped on the left, as the logs service of the field does
    lines: list[str] = []
    until = time.monotonic() + 30
    while not any(f"{name} is published" in line for line in lines):
        assert time.monotonic() < until, lines
        lines += place.redis("BLPOP", "logging", "1").splitlines()[1:2]
    # then each has the shape of the field, and they are in order
    assert all(re.fullmatch(r"[^ ]+\.(rest|worker)\.(info|debug):.+", line) for line in lines)
    assert any(f"job {name} waits" in line and ".rest." in line for line in lines)
    done = [line.partition(":")[2] for line in lines if f"{name} is" in line]
    assert done == [f"{name} is claimed, attempt 1", f"{name} is published"]

    # and nothing that was said, there or on stderr, holds a secret or a trace
    said = "".join([*lines, *(path.read_text() for path in place.said)])
    assert said.count(f"{name} is published") >= 2
    assert SECRET_KEY not in said
    assert SIGNING_SECRET.removeprefix("whsec_") not in said
    assert "Traceback" not in said
