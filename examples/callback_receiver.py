"""Receives the events of jobs, and believes only those that are signed with our secret.

    OCTET_WEBHOOK_SECRET=whsec_... python examples/callback_receiver.py [PORT]

The service has to have the same secret, and leave to reach this machine:

    OCTET_WEBHOOK_SECRET=whsec_... OCTET_ALLOW_HOSTS=127.0.0.1 octet up
    curl -F file=@song.mp3 -F webhook=http://127.0.0.1:9000/ http://127.0.0.1:5000/v1/jobs
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from standardwebhooks import Webhook, WebhookVerificationError

LONGEST = 64 * 1024


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to an event that is genuine, 401 to all else.

    One event may come more than once (its answer was lost on the way): its `webhook-id` stays
    the same, which is how to tell.
    """

    secret = ""
    seen: ClassVar[set[str]] = set()
    timeout = 10

    def do_POST(self) -> None:
        """Called by http.server for every POST."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            self.answer(413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            print(f"refused: {error}", flush=True)
            self.answer(401)
            return
        self.answer(204)
        if headers["webhook-id"] not in self.seen:
            self.seen.add(headers["webhook-id"])
            job = event["data"]
            print(f"{event['type']}: {job['id']}, {job['outcome'] or job['error']}", flush=True)

    def answer(self, status: int) -> None:
        """Sends an answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing of its own."""


def main(port: int) -> None:
    """Receives until Ctrl-C."""
    secret = os.environ.get("OCTET_WEBHOOK_SECRET")
    if not secret:
        sys.exit("Set OCTET_WEBHOOK_SECRET to the service's secret (whsec_...)")
    Receiver.secret = secret
    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
