"""The API as a process of its own, and what processes hold."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.servers import find_free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.worker.service import Service

_STARTS_WITHIN = 60.0


@asynccontextmanager
async def api_process(service: Service) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    """`octet api`: its process, and a client of it. It must still run at the end."""
    port = find_free_port()
    process = start_api(service, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            async with asyncio.timeout(_STARTS_WITHIN):
                while not await _healthy(client):
                    assert process.poll() is None, "the API ended at its start"
                    await asyncio.sleep(0.1)
            yield process.pid, client
            assert process.poll() is None, "the API has ended"
            assert await _healthy(client)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def start_api(service: Service, port: int) -> subprocess.Popen[bytes]:
    """`octet api` as a process, for whoever ends it."""
    settings = {
        "OCTET_REDIS_URL": service.url,
        "OCTET_STORAGE": service.storage,
        "OCTET_PORT": str(port),
        **service.environment,
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from octet.cli.service import api; api()"],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
    )


async def _healthy(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def memory(pid: int, what: str = "VmRSS") -> float:
    """MiB that a process has in memory; `VmHWM`: had at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith(f"{what}:")]
    return int(line.split()[1]) / 1024


def descriptors(pid: int) -> int:
    """How many files and connections a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
