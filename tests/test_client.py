"""`octet.Client` against a real service."""

# ruff: noqa: F811 - the fixtures of the API's tests are imported by their names

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

import octet
from octet.api.auth import hash_key
from octet.client import Client
from octet.errors import ServiceError, SettingError
from octet.tracks import TRACKS
from tests.api.addresses import SLOW, serving_songs
from tests.api.conftest import (  # noqa: F401 - fixtures
    near_settings,
    serving,
    settings,
    shared_url,
    store,
    store_folder,
    valkey,
    worker,
)
from tests.api.songs import name_of, song
from tests.api.worker import StandIn, track_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from octet.settings import ServiceSettings


@pytest.fixture
def client(shared_url: str, store: Path, valkey: redis.Redis) -> Iterator[Client]:
    """A client of a service with nothing in it."""
    with Client(shared_url) as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A song's file."""
    path = tmp_path / "Größe & Co.mp3"
    path.write_bytes(song(1))
    return path


def test_it_is_part_of_the_public_surface() -> None:
    assert octet.Client is Client


def test_a_song_there_and_back(client: Client, worker: StandIn, file: Path, tmp_path: Path) -> None:
    job = client.submit(file)
    assert (job["id"], job["state"], job["name"]) == (name_of(song(1)), "waiting", file.name)

    finishing = threading.Thread(target=worker.finish)
    finishing.start()
    seen: list[str] = []
    done = client.wait(job["id"], on_progress=lambda each: seen.append(each["state"]))
    finishing.join()

    assert (done["state"], done["outcome"]) == ("done", "complete")
    assert seen[-1] == "done"
    manifest = client.download_all(job["id"], tmp_path / "stems")
    assert list(manifest["tracks"]) == list(TRACKS)
    for track in TRACKS:
        assert (tmp_path / "stems" / f"{track}.mp3").read_bytes() == track_bytes(job["id"], track)
    kept = json.loads((tmp_path / "stems" / "manifest.json").read_text())
    assert kept["tracks"]["bass"]["key"] == "bass.mp3"
    assert client.manifest(job["id"])["tracks"]["bass"]["key"] != "bass.mp3"


def test_options_shape_the_job(client: Client, file: Path) -> None:
    job = client.submit(
        str(file),
        format="flac",
        bits=24,
        tracks=["vocals", "drums"],
        priority="high",
        name="Lied",
        callback={"url": "http://example.org/", "data": [1]},
        model=None,
    )
    asked = {name: job["recipe"][name] for name in ("format", "bits", "tracks")}
    assert asked == {"format": "flac", "bits": 24, "tracks": ["vocals", "drums"]}
    assert (job["priority"], job["name"]) == ("high", "Lied")


def test_a_request_can_be_repeated(client: Client, file: Path, valkey: redis.Redis) -> None:
    for _ in range(2):
        client.submit(file, idempotency_key="once")
    assert valkey.llen("toWorker") == 1
    with pytest.raises(ServiceError) as caught:
        client.submit(file, idempotency_key="once", format="flac")
    assert caught.value.status == 422


def test_a_track_appears_whole_or_not_at_all(
    client: Client, worker: StandIn, file: Path, tmp_path: Path
) -> None:
    job = client.submit(file)
    worker.finish()
    target = client.download(job["id"], "vocals", tmp_path / "vocals.mp3")
    assert target.read_bytes() == track_bytes(job["id"], "vocals")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ServiceError) as caught:
        client.download(job["id"], "tuba", tmp_path / "tuba.mp3")
    assert caught.value.status == 404
    assert sorted(tmp_path.iterdir()) == before


def test_a_job_that_fails_is_an_error(client: Client, worker: StandIn, file: Path) -> None:
    job = client.submit(file)
    worker.bury("not-audio", "this is not audio")
    with pytest.raises(ServiceError, match="this is not audio"):
        client.wait(job["id"])
    [letter] = client.dead()
    client.replay(letter["id"])
    assert client.job(job["id"])["state"] == "waiting"


def test_a_cancelled_job_is_an_error(client: Client, file: Path) -> None:
    job = client.submit(file)
    assert client.queue()["depth"] == 1
    assert client.cancel(job["id"])["state"] == "cancelled"
    with pytest.raises(ServiceError, match="cancelled"):
        client.wait(job["id"])
    assert [each["id"] for each in client.jobs(state="cancelled")] == [job["id"]]


def test_waiting_has_an_end(client: Client, file: Path) -> None:
    job = client.submit(file)
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=r"0\.5 seconds"):
        client.wait(job["id"], timeout=0.5)
    assert 0.4 < time.monotonic() - begun < 5


def test_a_stream_that_breaks_is_taken_up_again(
    settings: ServiceSettings, store: Path, valkey: redis.Redis, worker: StandIn, file: Path
) -> None:
    # given a service on one port that stops while somebody follows a job, and starts again
    with serving(settings) as url:
        port = int(url.rpartition(":")[2])
        client = Client(url)
        job = client.submit(file)
        events = client.events(job["id"])
        assert next(events)["state"] == "waiting"
    starting = serving(settings.model_copy(update={"port": port}))
    worker.finish()
    with starting, client:
        assert [each["state"] for each in events] == ["done"]


def test_waiting_goes_on_while_the_service_is_away(
    settings: ServiceSettings, store: Path, valkey: redis.Redis, worker: StandIn, file: Path
) -> None:
    # given a service on one port, and somebody who waits for a job of it
    with serving(settings) as url:
        port = int(url.rpartition(":")[2])
        client = Client(url)
        job = client.submit(file)
        seen: list[str] = []
        results: list[Any] = []

        def wait() -> None:
            results.append(
                client.wait(job["id"], on_progress=lambda job: seen.append(job["state"]))
            )

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not seen:
            time.sleep(0.01)
    # when the service is away for some seconds, and the job is done when it comes back
    time.sleep(4)
    worker.finish()
    with serving(settings.model_copy(update={"port": port})), client:
        waiting.join(30)
        # then the wait has gone on meanwhile, and has told nothing twice
        assert results[0]["state"] == "done"
        assert seen == ["waiting", "done"]


def test_reading_is_repeated_after_a_moment(
    settings: ServiceSettings, store: Path, valkey: redis.Redis, file: Path
) -> None:
    # given a service that has answered, and that starts again
    with serving(settings) as url:
        port = int(url.rpartition(":")[2])
        client = Client(url)
        job = client.submit(file)
    result: list[Any] = []
    asking = threading.Thread(target=lambda: result.append(client.job(job["id"])))
    asking.start()
    time.sleep(0.3)
    # then what only reads waits for it for some seconds
    with serving(settings.model_copy(update={"port": port})), client:
        asking.join(30)
    assert result[0]["id"] == job["id"]


def test_waiting_for_nobody_has_an_end() -> None:
    with Client("http://127.0.0.1:1") as client:
        begun = time.monotonic()
        with pytest.raises(ServiceError, match="not ended within 1 seconds"):
            client.wait("0" * 64, timeout=1)
        assert 0.9 < time.monotonic() - begun < 5


def test_tracks_of_an_earlier_fetch_are_replaced(
    client: Client, worker: StandIn, file: Path, tmp_path: Path
) -> None:
    # given all tracks of a song in a folder
    job = client.submit(file)
    worker.finish()
    out = tmp_path / "stems"
    client.download_all(job["id"], out)
    (out / "notes.txt").write_text("mine")
    # when a part of them is fetched to the same folder
    manifest = client.download_all(job["id"], out, ["vocals"])
    # then the others are gone, since its manifest is about this one, and nothing else is
    assert {path.name for path in out.iterdir()} == {"vocals.mp3", "manifest.json", "notes.txt"}
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert list(manifest["tracks"]) == ["vocals"]


def test_a_name_that_is_not_text(client: Client, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp3")
    path.write_bytes(song(1))
    assert client.submit(path)["name"] == "caf\N{REPLACEMENT CHARACTER}.mp3"


def test_a_key_is_sent(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, store: Path, valkey: redis.Redis
) -> None:
    with serving(settings.model_copy(update={"api_keys": (hash_key("secret"),)})) as url:
        with Client(url) as nobody, pytest.raises(ServiceError, match="API key") as caught:
            nobody.queue()
        assert caught.value.status == 401
        with Client(url, "secret") as client:
            assert client.queue()["depth"] == 0
        monkeypatch.setenv("OCTET_URL", url)
        monkeypatch.setenv("OCTET_KEY", "secret")
        with Client() as client:
            assert client.queue()["depth"] == 0


def test_a_song_that_the_service_refuses(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("only text")
    with pytest.raises(ServiceError, match="this is not audio") as caught:
        client.submit(path)
    assert caught.value.status == 415
    with pytest.raises(FileNotFoundError):
        client.submit(tmp_path / "none.mp3")
    with pytest.raises(ServiceError, match="not allowed"):
        client.submit("http://127.0.0.1:1/song.mp3")


def test_nobody_there() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceError) as caught:
        client.queue()
    assert caught.value.status == 0
    assert "octet up" in caught.value.hint


def test_somebody_else_there() -> None:
    # given a server that is not Octet, and answers all with a page
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"<p/>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            # then neither a question nor a wait takes it for one that is away
            for ask in (client.queue, lambda: client.wait("0" * 64)):
                with pytest.raises(ServiceError, match="does not answer as Octet does"):
                    ask()
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://a/", "http://"])
def test_an_address_without_sense(url: str) -> None:
    with pytest.raises(SettingError, match="address of a service"):
        Client(url)


@pytest.mark.parametrize(
    ("name", "file"), [("Größe.mp3", "Größe"), ("../x\0y.mp3", "xy"), ("", "song")]
)
def test_a_stem_file_is_called_after_the_song(
    client: Client, worker: StandIn, tmp_path: Path, name: str, file: str
) -> None:
    # given a stem file of a song with a name of anybody's choice
    path = tmp_path / "song.mp3"
    path.write_bytes(song(1))
    job = client.submit(path, format="stem")
    worker.finish(name=name)
    # when it is fetched, then it lies in the folder under a name of that
    manifest = client.download_all(job["id"], tmp_path / "stems")
    assert manifest["tracks"]["stem"]["key"] == f"{file}.stem.mp4"
    data = (tmp_path / "stems" / f"{file}.stem.mp4").read_bytes()
    assert data == track_bytes(job["song"], "stem")


def test_a_song_at_an_address(near_settings: ServiceSettings, store: Path, tmp_path: Path) -> None:
    worker = StandIn(near_settings, tmp_path)
    with serving_songs() as songs, serving(near_settings) as service, Client(service) as client:
        # given an address, by its name or in the song's place
        job = client.submit(url=songs.url("/slow"), name="Lied")
        assert (job["state"], job["name"]) == ("fetching", "Lied")
        assert client.submit(songs.url("/slow"))["state"] == "fetching"
        # when it is waited for
        songs.go_on.set()
        finishing = threading.Thread(target=worker.finish)
        finishing.start()
        seen: list[str] = []
        done = client.wait(job["id"], on_progress=lambda each: seen.append(each["state"]))
        finishing.join()
        # then the import stands for the song's job
        assert (done["id"], done["job"]) == (job["id"], name_of(SLOW))
        assert (seen[0], seen[-1]) == ("fetching", "done")
        manifest = client.download_all(job["id"], tmp_path / "stems")
        assert list(manifest["tracks"]) == list(TRACKS)
        with pytest.raises(ServiceError, match="answered 404"):
            client.wait(client.submit(url=songs.url("/none"))["id"])


def test_a_song_has_one_place(client: Client, file: Path) -> None:
    with pytest.raises(TypeError, match="either"):
        client.submit()
    with pytest.raises(TypeError, match="either"):
        client.submit(file, url="http://example.org/")
