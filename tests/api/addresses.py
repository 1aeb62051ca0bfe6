"""A server that has songs at its addresses, for imports by URL."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.api.songs import song

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = song(1, 300_000)
HALF = 2 * 65_536


class Songs(ThreadingHTTPServer):
    """Has song NUMBER at `/NUMBER`, and SLOW at `/slow`, of which it sends HALF bytes and then
    waits for `go_on`; nothing elsewhere.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.go_on = threading.Event()

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.server_port}{path}"


@contextmanager
def serving_songs() -> Iterator[Songs]:
    """Serves them from a thread."""
    with Songs() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()


class _Answers(BaseHTTPRequestHandler):
    server: Songs

    def do_GET(self) -> None:
        if self.path == "/slow":
            self._begin(len(SLOW))
            self.wfile.write(SLOW[:HALF])
            self.server.go_on.wait(30)
            self.wfile.write(SLOW[HALF:])
        elif self.path[1:].isdigit():
            data = song(int(self.path[1:]))
            self._begin(len(data))
            self.wfile.write(data)
        else:
            self.send_error(404)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # whoever fetched has gone
            self.close_connection = True

    def _begin(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
