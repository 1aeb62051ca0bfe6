from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import pytest

from octet.logbook import LineFormatter, ListHandler, read_lines, redact, set_up_logging
from tests.jobs.songs import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The logger of Octet, left as it was found."""
    logger = logging.getLogger("octet")
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def line(message: str, *arguments: object, level: int = logging.INFO) -> str:
    record = logging.LogRecord("octet", level, "", 0, message, arguments, None)
    return LineFormatter("worker", "host-1", secrets=["hunter2"]).format(record)


def test_a_line_has_the_shape_of_the_field() -> None:
    assert line("took %s", "H") == "host-1.worker.info:took H"
    assert line("x", level=logging.DEBUG) == "host-1.worker.debug:x"
    assert line("x", level=logging.WARNING) == "host-1.worker.info:warning: x"


def test_a_message_stays_on_one_line() -> None:
    assert line("a\nhost-1.rest.info:fake\r\x1b[2J") == (
        "host-1.worker.info:a\\nhost-1.rest.info:fake\\r\\x1b[2J"
    )
    assert len(line("x" * 100_000)) < 5_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is hunter2!", "it is ***!"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("redis://user:pa55@host", "redis://user:***@host"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed with ***"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer ***"),
        ("http://s/o?X-Amz-Signature=abc&x=1", "http://s/o?X-Amz-Signature=***&x=1"),
        ("MINIO_SECRET_KEY=rootpass123", "MINIO_SECRET_KEY=***"),
        ("the song at queue/H.mp3", "the song at queue/H.mp3"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text, ["hunter2"]) == shown


async def test_a_reader_sees_the_lines_in_order_each_once(
    queue_url: str, client: Redis, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("rest", "info", queue_url)
    for number in range(300):
        log.info("line %d", number)
    log.debug("not this one")

    read = []
    async with asyncio.timeout(20):
        async for text in read_lines(client, asyncio.Event()):
            read.append(text.partition(":")[2])
            if len(read) == 300:
                break

    assert read == [f"line {number}" for number in range(300)]
    assert await client.llen("logging") == 0
    assert capsys.readouterr().err.count(".rest.info:line ") == 300


async def test_the_list_is_bounded_and_keeps_the_newest(
    queue_url: str, client: Redis, log: logging.Logger
) -> None:
    handler = ListHandler(queue_url, most=100)
    handler.setFormatter(LineFormatter("worker", "h"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    for number in range(1000):
        log.info("%d", number)
    handler.close()

    lines = await client.lrange("logging", 0, -1)
    assert lines == [f"h.worker.info:{number}".encode() for number in range(900, 1000)]


def test_a_server_that_is_away_holds_nobody_up(log: logging.Logger) -> None:
    handler = ListHandler("redis://127.0.0.1:1/0")
    handler.setFormatter(LineFormatter("worker", "h"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    begun = time.perf_counter()
    for number in range(5000):
        log.info("%d", number)
    spent = time.perf_counter() - begun
    handler.close()

    assert spent < 3


async def test_a_reader_waits_for_what_comes(
    queue_url: str, client: Redis, log: logging.Logger
) -> None:
    lines = read_lines(client, asyncio.Event())
    first = asyncio.ensure_future(anext(lines))
    await until(lambda: _blocked(client))

    set_up_logging("worker", "debug", queue_url)
    log.debug("here")

    assert (await asyncio.wait_for(first, 20)).endswith(".worker.debug:here")


async def test_a_reader_that_is_stopped_takes_no_further_line(
    queue_url: str, client: Redis, log: logging.Logger
) -> None:
    # given a reader of two lines that has been given the first
    await client.rpush("logging", "h.rest.info:one", "h.rest.info:two")
    stopped = asyncio.Event()
    lines = read_lines(client, stopped)
    first = await anext(lines)
    # when it is told to stop
    stopped.set()
    rest = [line async for line in lines]
    # then the second stays where it is, for the next reader
    assert first == "h.rest.info:one"
    assert rest == []
    assert await client.lrange("logging", 0, -1) == [b"h.rest.info:two"]


async def _blocked(client: Redis) -> bool:
    return bool((await client.info("clients"))["blocked_clients"])
