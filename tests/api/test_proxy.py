"""Behind a proxy: prefixes, schemes, and whose word counts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import SettingError
from octet.settings import ServiceSettings, read_settings
from tests.api.conftest import PLAIN
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.conftest import Start

NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 600m;
    location /octet/ {{
      proxy_pass {upstream}/;
      proxy_set_header X-Forwarded-Prefix /octet;
      proxy_set_header X-Forwarded-Proto https;
      proxy_request_buffering off;
      proxy_buffering off;
    }}
  }}
}}
"""


def test_addresses_are_those_that_the_client_reaches(api: httpx.Client) -> None:
    headers = {"X-Forwarded-Prefix": "/octet", "X-Forwarded-Proto": "https"}
    answer = api.post("/v1/jobs", content=song(1), headers=headers)
    place = f"/octet/v1/jobs/{name_of(song(1))}"
    assert answer.headers["location"] == answer.json()["links"]["self"] == place
    assert answer.json()["links"]["song"].startswith("/octet/v1/songs/")
    assert api.get("/openapi.json", headers=headers).json()["servers"] == [{"url": "/octet"}]
    # and a later request without a proxy has none of it
    assert api.get("/v1/jobs").json()["jobs"][0]["links"]["self"].startswith("/v1/jobs/")


@pytest.mark.parametrize("prefix", ["octet", "/", "//evil.example", "/a b", "/a?b", "/ü"])
def test_a_prefix_that_is_no_path_is_left_aside(api: httpx.Client, prefix: str) -> None:
    headers = {b"X-Forwarded-Prefix": prefix.encode()}
    answer = api.post("/v1/jobs", content=song(1), headers=headers)
    assert answer.headers["location"].startswith("/v1/jobs/")


def test_only_a_trusted_proxy_has_a_say(start: Start) -> None:
    api = start(trusted_proxies=("10.0.0.0/8",))
    answer = api.post("/v1/jobs", content=song(1), headers={"X-Forwarded-Prefix": "/octet"})
    assert answer.headers["location"].startswith("/v1/jobs/")


def test_a_prefix_that_the_proxy_leaves_in_place(start: Start) -> None:
    api = start(root_path="/octet")
    answer = api.post("/octet/v1/jobs/", content=song(1))
    assert answer.status_code == 202
    assert api.get(answer.headers["location"]).json()["state"] == "waiting"
    assert api.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("root_path", "octet"),
        ("trusted_proxies", "10.0.0.0/8,proxy"),
        ("cors_origins", "https://music.example.org/app"),
    ],
)
def test_settings_that_make_no_sense_end_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"OCTET_{name.upper()} is"):
        read_settings(ServiceSettings, **{name: value})


@pytest.mark.skipif(shutil.which("nginx") is None and "CI" not in os.environ, reason="no nginx")
def test_behind_nginx(start: Start, tmp_path: Path) -> None:
    # given nginx as docs/proxy.md sets it up
    upstream = start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = str(upstream.base_url).rstrip("/")
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, upstream=url))
    process = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=PLAIN) as client:
            until = time.monotonic() + 20
            while not _answers(client):
                assert time.monotonic() < until
                time.sleep(0.05)
            # when a page of that site sends a song
            page = {"Origin": "https://music.example.org", "Sec-Fetch-Site": "same-origin"}
            answer = client.post("/octet/v1/jobs", content=song(1), headers=page)
            # then it is taken, and its address leads through the proxy
            assert answer.status_code == 202
            job = client.get(answer.headers["location"]).json()
            assert job["state"] == "waiting"
            # and events come as they happen
            with client.stream("GET", job["links"]["events"]) as events:
                assert next(events.iter_lines()).startswith(("event:", "data:", "retry:"))
    finally:
        process.terminate()
        process.wait(20)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/octet/healthz").status_code == 200
    except httpx.TransportError:
        return False
