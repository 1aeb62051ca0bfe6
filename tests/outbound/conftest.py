from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_watching: list[list[Any]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watching:
        _watching[-1].append(arguments[1])


sys.addaudithook(_hook)  # cannot be taken back, so it is idle unless a test watches


@pytest.fixture
def connections() -> Iterator[list[Any]]:
    """The address of every connection that this process tries to make, as the socket sees it."""
    seen: list[Any] = []
    _watching.append(seen)
    yield seen
    _watching.pop()
