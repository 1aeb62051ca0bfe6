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
from typing import TYPE_CHECKING, Any, ParamSpec

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

P = ParamSpec("P")

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


class Computation:
    """Does what is ordered, with the model that was used last at hand.

    Args:
        channel: where progress goes.
        load: gives the model of a choice.
    """

    def __init__(self, channel: Channel, load: Load) -> None:
        self._channel = channel
        self._load = load
        self._loaded: tuple[ModelChoice, Model] | None = None

    def serve(self) -> None:
        """Works until the process ends."""
        for order in self._channel.orders():
            try:
                if order["do"] == "load":
                    self._model(SeparationSettings(**order["settings"]), required=True)
                    answer: dict[str, Any] = {"event": "loaded"}
                else:
                    answer = self._separate(Order.from_message(order))
            except Exception as error:  # every failure is told, by its kind
                answer = failure(error)
            self._channel.send(answer)

    def _separate(self, order: Order) -> dict[str, Any]:
        settings = SeparationSettings(**order.settings)
        model = self._model(settings, required=order.required)
        separator = Separator.from_settings(settings, model=model, tracks=order.tracks or None)
        mime = separator.encoding.format.mime
        manifest = separator.separate(
            order.song,
            order.folder,
            name=order.name,
            on_progress=self._sometimes(lambda share: {"event": "progress", "share": share}),
            on_track=self._link(Path(order.links), mime),
            cancelled=self._channel.cancelled,
        )
        return {"event": "done", "manifest": manifest.to_json(), "content_type": mime}

    def _link(self, folder: Path, mime: str) -> Callable[[str, Path], None]:
        """Tells of tracks as they are whole, by links: the files move when the last one is."""
        folder.mkdir()

        def tell(track: str, path: Path) -> None:
            link = folder / path.name
            try:
                link.hardlink_to(path)
            except OSError:  # no links on this file system: it is told of with the others
                return
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
            tell = self._sometimes(_loading)
            tell("the model", 0, 0)
            self._loaded = (wanted, self._load(wanted, tell))
            self._channel.send({"event": "progress", "share": 0.0})
        return self._loaded[1]

    def _sometimes(self, message: Callable[P, dict[str, Any]]) -> Callable[P, None]:
        """Sends what `message` makes, unless another such message was sent just now."""
        last = 0.0

        def tell(*args: P.args, **kwargs: P.kwargs) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _EVERY:
                last = now
                self._channel.send(message(*args, **kwargs))

        return tell


def _loading(what: str, done: int, total: int) -> dict[str, Any]:
    return {"event": "loading", "what": what, "done": done, "total": total}


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
    Computation(Channel(socket.socket(fileno=int(sys.argv[1]))), load).serve()


if __name__ == "__main__":
    main(load_model)
