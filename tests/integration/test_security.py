"""Hostile names and wrong keys, through the whole service and to its disk."""

import json
import os
import re
import time

import httpx
import pytest

from octet.api.app import create_app
from octet.api.auth import hash_key
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.cli.test_separate import make_song
from tests.integration.test_up import running

pytestmark = pytest.mark.timeout(240)

KEY = "a long and random key of these tests"
OURS = {"X-API-Key": KEY}
SECRET = "c2VjcmV0IG9mIHRoZXNlIHRlc3RzIGFsb25l"
NAMES = (
    "$(touch pwned).mp3",
    "; touch pwned;.mp3",
    "`touch pwned`",
    "../../../../pwned",
    "/etc/pwned",
    "a\r\nX-Pwned: 1\r\n\r\n.mp3",
    "-rf pwned",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all that the service keeps lies."""
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def api(folder):
    """A client without a key, of `octet up` that asks for one."""
    environment = {"OCTET_API_KEYS": hash_key(KEY), "OCTET_WEBHOOK_SECRET": f"whsec_{SECRET}"}
    with (
        running(folder / "data", OCTET_MODEL="original", **environment) as up,
        httpx.Client(base_url=up.url, timeout=60) as client,
    ):
        yield client


def until_done(api, job_id):
    """The job, once it has ended."""
    deadline = time.monotonic() + 60
    while True:
        job = api.get(f"/v1/jobs/{job_id}", headers=OURS).json()
        if job["state"] not in ("waiting", "running"):
            return job
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_names_of_clients_reach_no_path_and_no_shell(api, folder, tmp_path):
    # given songs whose names are attempts at the shell, the folders and the headers
    for seed, name in enumerate(NAMES):
        song = make_song(tmp_path / f"{seed}.wav", 0.2, seed)
        form = {"file": (name, song.read_bytes()), "name": (None, name)}
        job = api.post("/v1/jobs", files=form, headers=OURS)
        assert job.status_code == 202, job.text
        song_id = job.json()["id"]
        # when they have gone through all of the service
        assert until_done(api, song_id)["outcome"] == "complete"
        # then the tracks come as files whose names lead nowhere
        for path in (f"/v1/songs/{song_id}/tracks/vocals", f"/v1/songs/{song_id}/archive"):
            answer = api.get(path, headers=OURS)
            assert answer.status_code == 200
            given = re.search(r'filename="([^"]*)"', answer.headers["content-disposition"])
            assert given is not None
            assert not set(given[1]) & set('/\\"\r\n')
            assert "x-pwned" not in answer.headers
    # and nothing on the disk is called as they were, nor has a shell made anything
    kept = [entry for _, folders, files in os.walk(folder) for entry in (*folders, *files)]
    assert len(kept) > 8 * len(NAMES)
    assert [entry for entry in kept if "pwned" in entry or entry.startswith("a\r")] == []
    assert not os.path.exists("pwned")
    assert not os.path.exists("/etc/pwned")


@pytest.mark.parametrize("hostile", ["..%2f..%2fsecret", "%00", "a" * 5000])
def test_no_answer_shows_a_path_or_a_trace(api, folder, hostile):
    # given every address of the API, with something hostile in each place
    document = create_app(read_settings(ServiceSettings), read_settings(SeparationSettings))
    for path, operations in document.openapi()["paths"].items():
        for method in operations:
            place = re.sub(r"\{.*?\}", hostile, path)
            body = {"content": json.dumps({"object": hostile, "mp3": hostile, "model": hostile})}
            headers = {**OURS, "Content-Type": "application/json"}
            # when it is asked for
            answer = api.request(method, place, headers=headers, **body)
            # then no fault of the service comes of it, and nothing of the machine is in the answer
            assert answer.status_code < 500, (method, place, answer.text)
            for inside in (str(folder), "site-packages", "Traceback", ".py"):
                assert inside not in answer.text, (method, place, inside)


def test_wrong_keys_open_nothing_and_no_key_is_said(api, folder, tmp_path):
    # given a song that was separated for somebody with the key
    song = make_song(tmp_path / "song.wav", 0.2, 99)
    song_id = api.post("/v1/jobs", content=song.read_bytes(), headers=OURS).json()["id"]
    assert until_done(api, song_id)["outcome"] == "complete"
    # when others ask for it, then it is 401 whatever they have in place of a key
    for headers in ({}, {"X-API-Key": f"{KEY}!"}, {"Authorization": f"Basic {KEY}"}):
        for path in (f"/v1/songs/{song_id}", f"/apiv1/track/{song_id}/vocals", "/metrics"):
            assert api.get(path, headers=headers).status_code == 401
        assert api.get("/healthz", headers=headers).status_code == 200
    # and no key and no secret is in what the service says, or keeps beside its queue
    assert KEY not in api.get("/metrics", headers=OURS).text
    for path in (folder / "data").rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
            assert SECRET.encode() not in path.read_bytes(), path
