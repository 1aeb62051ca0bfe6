"""A real server on loopback, with a real queue and a local folder as its store."""

from __future__ import annotations

import shutil
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis

from octet.api.app import create_app
from octet.api.server import Server, address_of, listen
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.api.worker import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import QueueServers

    Start = Callable[..., httpx.Client]


# Without the authorities of TLS, whose reading takes longer than most tests.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def serving(
    settings: ServiceSettings,
    *,
    client_timeout: float = 30.0,
    ready: bool = True,
    **separation: Any,
) -> Iterator[str]:
    """Serves the API from a thread; gives its address."""
    listening = listen(settings)
    defaults = read_settings(SeparationSettings, **separation)
    app = create_app(settings, defaults, client_timeout=client_timeout)
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        url = address_of(listening)
        until = time.monotonic() + 20
        while ready and httpx.get(f"{url}/readyz", verify=PLAIN).status_code != 200:
            assert time.monotonic() < until, "the API does not get ready"
            # The service looks at most every two seconds; what it saw first may be too early.
            app.state.service.health._looked = -10.0
            time.sleep(0.02)
        yield url
    finally:
        server.stop()
        thread.join()


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all buckets."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def store(store_folder: Path) -> Path:
    """The folder of the buckets, which are empty."""
    for entry in store_folder.glob("*/*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return store_folder


@pytest.fixture(scope="session")
def settings(queue_servers: QueueServers, store_folder: Path) -> ServiceSettings:
    """Where the queue and the store of these tests are."""
    url = queue_servers("valkey", "api").url
    return read_settings(ServiceSettings, redis_url=url, storage=f"file://{store_folder}", port=0)


@pytest.fixture(scope="session")
def near_settings(queue_servers: QueueServers, store_folder: Path) -> ServiceSettings:
    """Of a service that may fetch from this machine.

    Its queue is its own: every service on a queue fetches what is due there.
    """
    return read_settings(
        ServiceSettings,
        redis_url=queue_servers("valkey", "imports").url,
        storage=f"file://{store_folder}",
        port=0,
        allow_hosts=("127.0.0.1",),
    )


@pytest.fixture
def start(settings: ServiceSettings, store: Path, valkey: redis.Redis) -> Iterator[Start]:
    """Starts an API with some settings changed, and gives a client of it."""
    with ExitStack() as stack:

        def start(client_timeout: float = 30.0, ready: bool = True, **changed: Any) -> httpx.Client:
            its = settings.model_copy(update=changed)
            url = stack.enter_context(serving(its, client_timeout=client_timeout, ready=ready))
            return stack.enter_context(httpx.Client(base_url=url, timeout=30, verify=PLAIN))

        yield start


@pytest.fixture(scope="session")
def shared_url(settings: ServiceSettings) -> Iterator[str]:
    """The address of an API as it comes, the same for all tests."""
    with serving(settings) as url:
        yield url


@pytest.fixture
def api(shared_url: str, store: Path, valkey: redis.Redis) -> Iterator[httpx.Client]:
    """A client of an API as it comes, with an empty queue and an empty store."""
    with httpx.Client(base_url=shared_url, timeout=30, verify=PLAIN) as client:
        yield client


@pytest.fixture
def worker(settings: ServiceSettings, tmp_path: Path) -> StandIn:
    """Whoever does the jobs."""
    folder = tmp_path / "tracks"
    folder.mkdir()
    return StandIn(settings, folder)


@pytest.fixture
def valkey(settings: ServiceSettings) -> Iterator[redis.Redis]:
    """A plain client of the queue server, which is empty, to look past Octet."""
    assert settings.redis_url is not None
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()
        yield client
