"""Stages of work in threads of their own, a bounded line between each two."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from octet.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")

_CANCEL_CHECK_SECONDS = 0.1


class _LineClosedError(Exception):
    """Nobody takes from this line any more."""


class _Line(Generic[T]):
    """A bounded queue between two threads that either of them can close."""

    def __init__(self, depth: int) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Waits for room. Raises `_LineClosedError` once the taker has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if self._closed:
                raise _LineClosedError
            self._items.append(item)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """No more comes. With an error, the taker gets it after what is in the line."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def take(self, cancelled: Callable[[], bool] | None) -> Iterator[T]:
        """Everything that is put, until the line is closed.

        Raises:
            CancelledError: `cancelled` said so, which is asked ten times a second.
        """
        patience = None if cancelled is None else _CANCEL_CHECK_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed, timeout=patience)
                item = self._items.popleft() if self._items else None
                ended = item is None and self._closed
                self._changed.notify_all()
            if cancelled is not None and cancelled():
                raise CancelledError("the separation was cancelled")
            if ended:
                if self._error is not None:
                    raise self._error
                return
            if item is not None:
                yield item


def ahead(
    source: Generator[T, None, None],
    *,
    depth: int = 1,
    name: str = "octet-stage",
    cancelled: Callable[[], bool] | None = None,
    interrupt: Callable[[], None] | None = None,
) -> Generator[T, None, None]:
    """Runs a generator in a thread of its own, up to `depth` items ahead of whoever takes them.

    An error in the source is raised here, after the items before it. When this generator is
    closed or left by an error, the source is closed in its own thread, and the thread has
    ended before this returns.

    Args:
        source: yields anything but None.
        depth: how many finished items wait at most.
        name: the thread's name.
        cancelled: asked now and then while waiting.
        interrupt: called when this is left early, to end an item under way sooner.

    Raises:
        CancelledError: `cancelled` answered yes.
    """
    line: _Line[T] = _Line(depth)

    def work() -> None:
        failure: BaseException | None = None
        try:
            for item in source:
                line.put(item)
        except _LineClosedError:
            pass
        except BaseException as error:  # it is raised again in the taker's thread
            failure = error
        try:
            source.close()
        except BaseException as error:
            failure = failure or error
        line.close(failure)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    finished = False
    try:
        yield from line.take(cancelled)
        finished = True
    finally:
        line.close()
        if interrupt is not None and not finished and thread.is_alive():
            with suppress(Exception):  # the work is abandoned, whatever it says to that
                interrupt()
        thread.join()
