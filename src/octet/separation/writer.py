"""Tracks on their way into files: each has an encoder in a thread of its own."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.audio.levels import Meter

if TYPE_CHECKING:
    import numpy as np

    from octet.audio.encode import Encoder
    from octet.audio.files import EncodedFile

WAITING_BLOCKS = 2
"""Blocks that may wait for an encoder: enough to smooth, too few to fill the memory."""


@dataclass(frozen=True)
class WrittenTrack:
    """A finished file and the levels of what is in it (dBFS)."""

    file: EncodedFile
    rms_db: float
    peak_db: float


class TrackWriter:
    """Encodes one track while the next blocks are still computed.

    FFmpeg's encoders work without the interpreter's lock, so writers run side by side.

    Args:
        encoder: takes the blocks; it belongs to the writer from now on.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._meter = Meter()
        self._blocks: queue.Queue[np.ndarray | None] = queue.Queue(WAITING_BLOCKS)
        self._file: EncodedFile | None = None
        self._error: BaseException | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="octet-encode", daemon=True)
        self._thread.start()

    def write(self, block: np.ndarray) -> None:
        """Hands on a block, float32 of shape (2, n); waits while the encoder is behind.

        Raises:
            OutputError: an earlier block could not be written.
        """
        self._blocks.put(block)
        self._raise()

    def finish(self) -> None:
        """Says that no block follows, and returns at once."""
        self._blocks.put(None)

    def result(self) -> WrittenTrack:
        """Waits until the file is whole.

        Raises:
            OutputError: the file could not be written.
        """
        self._thread.join()
        self._raise()
        assert self._file is not None  # noqa: S101  # the thread ends with a file or an error
        return WrittenTrack(self._file, self._meter.rms_db, self._meter.peak_db)

    def abort(self) -> None:
        """Stops early and deletes the file; without effect on a finished one."""
        self._abandoned = True
        while self._thread.is_alive():
            try:
                self._blocks.put(None, timeout=0.05)
            except queue.Full:
                continue
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._encode()
        except BaseException as error:  # it is raised again where it is seen
            self._error = error
            self._encoder.abort()
            self._drain()

    def _encode(self) -> None:
        while (block := self._blocks.get()) is not None:
            if not self._abandoned:
                self._encoder.write(block)
                self._meter.add(block)
        if self._abandoned:
            self._encoder.abort()
        else:
            self._file = self._encoder.close()

    def _drain(self) -> None:
        # Whoever writes must not wait for ever on a queue that nobody empties.
        while self._blocks.get() is not None:
            pass
