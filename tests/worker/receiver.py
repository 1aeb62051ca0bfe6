"""Somebody who gets callbacks, on loopback."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Request:
    """A request that came."""

    headers: dict[str, str]
    body: str


class Receiver:
    """Answers every POST with 200 and keeps it."""

    def __init__(self) -> None:
        got: list[Request] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                got.append(Request(headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.got = got
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    async def requests(self, count: int, seconds: float = 15.0) -> list[Request]:
        """The first requests, once so many have come."""
        async with asyncio.timeout(seconds):
            while len(self.got) < count:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.02)
        return self.got

    async def all_of(self, count: int, seconds: float = 60.0) -> dict[str, set[str]]:
        """The ids under which each body came, once so many different bodies have come."""
        async with asyncio.timeout(seconds):
            while True:
                ids: dict[str, set[str]] = {}
                for request in list(self.got):
                    ids.setdefault(request.body, set()).add(request.headers["webhook-id"])
                if len(ids) >= count:
                    return ids
                await asyncio.sleep(0.05)
