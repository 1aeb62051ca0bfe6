"""The process: what it imports, where it listens, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from octet.api.server import address_of, listen
from octet.errors import SettingError
from octet.settings import ServiceSettings, read_settings
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (
    *("loop", "cycle", "transport", "connections", "connection_made", "connection_lost"),
    *("data_received", "on_message_begin", "on_headers_complete", "on_body"),
    *("on_response_complete", "timeout_keep_alive_handler", "send_400_response"),
    "_unsupported_upgrade_warning",
)
HEAVY = ("torch", "openvino", "onnx", "numpy", "av", "soxr", "scipy", "demucs", "lameenc")


def test_nothing_that_computes_is_imported() -> None:
    code = (
        "import sys, octet.api.server, octet.cli.service, octet.client\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"127.0.0.1:{port}"):
            listen(read_settings(ServiceSettings, port=port))


def test_the_network_is_not_listened_on_without_keys() -> None:
    with pytest.raises(SettingError, match="without API keys"):
        listen(read_settings(ServiceSettings, host="0.0.0.0", port=0))  # noqa: S104  # that is the point


def test_addresses_of_both_kinds() -> None:
    with listen(read_settings(ServiceSettings, host="127.0.0.1", port=0)) as four:
        assert four.proto == socket.IPPROTO_TCP  # what asyncio goes by to send without delay
        assert address_of(four).startswith("http://127.0.0.1:")
    with listen(read_settings(ServiceSettings, host="::1", port=0)) as six:
        assert address_of(six).startswith("http://[::1]:")


def test_the_parts_of_uvicorn_that_are_extended_are_there() -> None:
    # given the parts of uvicorn that octet.api overrides, or reads, and their classes
    config = uvicorn.Config(lambda: None)
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(config, uvicorn.server.ServerState(), {}, loop)
    parts = [
        *[(uvicorn.Server, name) for name in ("startup", "handle_exit", "capture_signals")],
        *[(uvicorn.Server(config), name) for name in ("should_exit", "run")],
        *[(protocol, name) for name in PARTS],
    ]
    # then each is where it was
    assert [name for owner, name in parts if not hasattr(owner, name)] == []
    assert not protocol.cycle
    loop.close()


def test_a_process_from_start_to_end(valkey_url: str, tmp_path: Path) -> None:
    # given `octet api`, as a process
    port = _free_port()
    environment = {
        **os.environ,
        "OCTET_REDIS_URL": valkey_url,
        "OCTET_STORAGE": f"file://{tmp_path}/store",
        "OCTET_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from octet.cli.service import api; api()"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    # when it is asked to end after some work
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while not _healthy(url):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        assert httpx.post(f"{url}/v1/jobs", content=song(1)).status_code == 202
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    # then it does so in order, and has said what it did in the contract's lines
    assert process.returncode == 0
    host = socket.gethostname()
    assert f"{host}.rest.info:listening on {url}" in said
    assert f"{host}.rest.info:job {name_of(song(1))} waits" in said
    assert f"{host}.rest.info:stopped" in said
    assert "Traceback" not in said


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
