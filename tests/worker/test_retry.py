"""Outages are waited for; what will not pass is told at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    LeaseLostError,
    ObjectMissingError,
    OctetError,
    QueueUnavailableError,
    StorageError,
    StorageUnavailableError,
)
from octet.worker.retry import outlast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


def failing(error: OctetError, times: int) -> Callable[[], Awaitable[str]]:
    """A step that fails so many times, then succeeds."""
    left = [error] * times

    async def step() -> str:
        if left:
            raise left.pop()
        return "done"

    return step


@pytest.mark.parametrize("kind", [QueueUnavailableError, StorageUnavailableError])
async def test_a_server_that_is_away_is_waited_for(
    kind: type[OctetError], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await outlast(failing(kind("away"), 3)) == "done"

    assert [record.getMessage().split()[0] for record in caplog.records] == ["waiting:", "going"]


@pytest.mark.parametrize("kind", [LeaseLostError, ObjectMissingError, StorageError])
async def test_other_errors_pass_at_once(kind: type[OctetError]) -> None:
    with pytest.raises(kind):
        await outlast(failing(kind("no"), 1))


async def test_refusals_are_waited_for_where_the_job_is_not_at_fault() -> None:
    assert await outlast(failing(StorageError("refused"), 1), refusals=True) == "done"
    with pytest.raises(ObjectMissingError):
        await outlast(failing(ObjectMissingError("no"), 1), refusals=True)
