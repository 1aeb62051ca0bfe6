"""The log list of the contract, and the same lines on stderr.

A line is `{host}.{rest|worker}.{info|debug}:{message}`. Lines go on at the right of the list
`logging`, so that a reader that pops on the left sees them in order; the list is bounded, the
oldest go first. Logging never fails or holds up who logs: a thread takes the lines to the
server, and what does not fit while the server is away is dropped and counted.
"""

from __future__ import annotations

import logging
import queue
import re
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from octet.jobs import keys
from octet.jobs.server import queue_errors, reply_of, script_text

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterable, Sequence

    from redis.asyncio import Redis

Role = Literal["rest", "worker"]

MOST_LINES = 10_000
"""Lines that the list keeps for a reader."""

_LONGEST_LINE = 4_000
_BATCH = 200
_BACKLOG = 2_000
_AGAIN = 1.0

# What secrets look like: passwords in addresses, signing secrets, credentials in headers, and
# what makes a presigned address valid.
_SECRETS = re.compile(
    r"(?P<head>://[^\s:/@]*:)[^\s@/]+(?=@)"
    r"|whsec_[A-Za-z0-9+/=_-]+"
    r"|(?P<scheme>(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<name>(?:x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|sig"
    r"|password|passwd|secret|secret_key|access_key|api_key|token)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;]+",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with stars in place of what looks like a secret, and of these very secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")

    def stars(found: re.Match[str]) -> str:
        kept = found["head"] or found["scheme"] or found["name"] or ""
        return f"{kept}***"

    return _SECRETS.sub(stars, text)


class LineFormatter(logging.Formatter):
    """Makes the contract's line of a record.

    The list knows info and debug only: a warning is an info whose message begins with
    `warning: `, and so on. Line ends and other control characters are escaped.

    Args:
        role: which part of the service speaks.
        host: its name; this machine's if empty.
        secrets: texts that must never be shown.
    """

    def __init__(self, role: Role, host: str = "", secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._role = role
        self._host = host or socket.gethostname()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        level = "debug" if record.levelno < logging.INFO else "info"
        text = record.getMessage()
        if record.levelno > logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        line = f"{self._host}.{self._role}.{level}:{redact(text, self._secrets)}"
        if len(line) > _LONGEST_LINE:
            line = f"{line[:_LONGEST_LINE]} ..."
        return _on_one_line(line)


class ListHandler(logging.Handler):
    """Puts lines on the list `logging`.

    Args:
        url: the address of the queue server.
        most: lines that the list keeps.
    """

    def __init__(self, url: str, most: int = MOST_LINES) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(
            url, socket_timeout=5.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0)
        )
        self._most = most
        self._lines: queue.Queue[str] = queue.Queue(_BACKLOG)
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="octet-logbook", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the line to the thread; never blocks and never raises."""
        try:
            line = self.format(record)
        except Exception:  # a message that does not fit its arguments is nobody's crash
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Carries what is left, as long as the server takes it (at most 2 s)."""
        self._closing.set()
        self._thread.join(timeout=2.0)
        self._client.close()
        super().close()

    def _carry(self) -> None:
        lines: list[str] = []
        while not (self._closing.is_set() and self._lines.empty() and not lines):
            lines = lines or self._batch()
            if not lines:
                continue
            try:
                self._client.eval(script_text("log"), 0, str(self._most), *lines)
            except (redis.RedisError, OSError, ValueError):
                # The server is away, or was closed over our head: later, or never.
                if self._closing.wait(_AGAIN):
                    return
            else:
                lines = []

    def _batch(self) -> list[str]:
        lines: list[str] = []
        with suppress(queue.Empty):
            lines.append(self._lines.get(timeout=0.2))
            while len(lines) < _BATCH:
                lines.append(self._lines.get_nowait())
        if lines and self._dropped:
            head = lines[-1].partition(":")[0]
            dropped, self._dropped = self._dropped, 0
            lines.append(f"{head}:warning: {dropped} lines were lost while the server was away")
        return lines


def set_up_logging(
    role: Role, level: str, url: str | None = None, secrets: Sequence[str] = ()
) -> None:
    """Sends what is logged under `octet` to stderr, and to the list `logging`.

    May be called again: the earlier handlers are closed.

    Args:
        role: which part of the service speaks.
        level: debug, info, warning or error.
        url: the address of the queue server; None leaves the list alone.
        secrets: texts that must never be shown (passwords, keys).
    """
    logger = logging.getLogger("octet")
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if url is not None:
        handlers.append(ListHandler(url))
    for handler in handlers:
        handler.setFormatter(LineFormatter(role, secrets=secrets))
        logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


async def read_lines(client: Redis, stopped: asyncio.Event) -> AsyncIterator[str]:
    """The lines in order, each once for all readers; waits for new ones.

    Ends within a second of `stopped`, and never between taking a line and giving it.

    Raises:
        QueueUnavailableError: the server does not answer (any more).
    """
    while not stopped.is_set():
        async with queue_errors():
            popped = await reply_of(client.blpop([keys.LOGGING], timeout=1))
        if popped is not None:
            yield _on_one_line(popped[1].decode("utf-8", "replace"))


def _on_one_line(text: str) -> str:
    """Control characters as escapes: a message can neither fake a line nor steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
