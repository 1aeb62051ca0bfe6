"""The child process: separates one song after another, and keeps the model loaded in between.

`python -m octet.worker.compute FD` serves the socket with that file descriptor, see protocol.py.
Whatever happens to this process (killed for its memory, stuck in a library, crashed) leaves the
supervisor unharmed; and it never outlives the supervisor.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octet.errors import OctetError
from octet.separation.model import ModelChoice, Passthrough
from octet.separation.models.registry import ORIGINAL
from octet.separation.separator import Separator
from octet.settings import SeparationSettings
from octet.worker.protocol import Order, failure, to_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octet.separation.model import Model

    OnModel = Callable[[str, int, int], None]
    Load = Callable[[ModelChoice, OnModel], Model]

_EVERY = 0.1
"""Seconds between two messages of progress, at least."""

_POLITE = 5
"""Added to the niceness: on a machine shared with the API, answers come before songs."""

_FIRST_TO_GO = "800"
"""Under the kernel's memory killer this process goes, not the supervisor (-1000 to 1000)."""


class Channel:
    """The child's end of the socket.

    A thread of its own reads, so that a cancellation is noticed during a computation, and so
    that this process ends when the supervisor has gone, whatever it is doing.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._orders: queue.Queue[dict[str, Any]] = queue.Queue()
        self._writing = threading.Lock()
        self._cancelled = threading.Event()
        threading.Thread(target=self._read, name="octet-orders", daemon=True).start()

    def orders(self) -> Iterator[dict[str, Any]]:
        """What there is to do, as it comes; never ends by itself."""
        while True:
            order = self._orders.get()
            self._cancelled.clear()
            yield order

    def cancelled(self) -> bool:
        """Whether the separation under way shall stop."""
        return self._cancelled.is_set()

    def send(self, message: dict[str, Any]) -> None:
        """Tells the supervisor something; ends the process if it cannot be told any more."""
        try:
            with self._writing:
                self._connection.sendall(to_line(message))
        except OSError:
            os._exit(1)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if message["do"] == "cancel":
                    self._cancelled.set()
                else:
                    self._orders.put(message)
        os._exit(0)


class Desk:
    """Does what is ordered, with the model that was used last at hand.

    Args:
        channel: where progress goes.
        load: makes a model of a choice.
    """

    def __init__(self, channel: Channel, load: Load) -> None:
        self._channel = channel
        self._load = load
        self._loaded: tuple[ModelChoice, Model] | None = None

    def serve(self) -> None:
        """Works until the process ends."""
        for order in self._channel.orders():
            if order["do"] == "load":
                with contextlib.suppress(OctetError):  # the separation that needs it will say so
                    self._model(SeparationSettings(**order["settings"]), required=True)
            else:
                self._channel.send(self._answer(Order.from_message(order)))

    def _answer(self, order: Order) -> dict[str, Any]:
        try:
            settings = SeparationSettings(**order.settings)
            model = self._model(settings, required=order.required)
            separator = Separator.from_settings(settings, model=model, tracks=order.tracks or None)
            done = separator.separate(
                order.song,
                order.folder,
                name=order.name,
                on_progress=self._progress(),
                on_track=self._whole(order, separator.encoding.format.mime),
                cancelled=self._channel.cancelled,
            )
        except Exception as error:  # every failure is told, by its kind
            return failure(error)
        mime = separator.encoding.format.mime
        return {"event": "done", "manifest": done.to_json(), "content_type": mime}

    def _whole(self, order: Order, mime: str) -> Callable[[str, Path], None]:
        """Tells of tracks as they are whole, under names that last."""
        folder = Path(order.early)
        folder.mkdir()

        def tell(track: str, path: Path) -> None:
            # The file itself moves when the last track is whole.
            link = folder / path.name
            link.hardlink_to(path)
            self._channel.send(
                {"event": "track", "track": track, "path": str(link), "content_type": mime}
            )

        return tell

    def _model(self, settings: SeparationSettings, *, required: bool) -> Model:
        if settings.model == ORIGINAL:
            return Passthrough()
        wanted = ModelChoice.from_settings(settings, required=required)
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = None  # two models at once may be more than the memory holds
            tell = self._progress()
            model = self._load(wanted, lambda _what, _done, _total: tell(0.0))
            self._loaded = (wanted, model)
        return self._loaded[1]

    def _progress(self) -> Callable[[float], None]:
        last = 0.0

        def tell(share: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _EVERY:
                last = now
                self._channel.send({"event": "progress", "share": share})

        return tell


def load_model(wanted: ModelChoice, on_model: OnModel) -> Model:
    """The model of a choice, loaded."""
    from octet.separation.models.loading import load

    return load(wanted, on_model)


def main(load: Load) -> None:
    """Serves the socket named on the command line."""
    # The supervisor decides about the end; Ctrl-C and SIGTERM of a group reach it as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_POLITE)
    with contextlib.suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    Desk(Channel(socket.socket(fileno=int(sys.argv[1]))), load).serve()


if __name__ == "__main__":
    main(load_model)
