"""A file in the making, which remembers when the disk refused."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from octet.audio.disk import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Result = TypeVar("Result")


class OutputFile:
    """A new file, open for reading and writing. FFmpeg may use it in place of a path.

    FFmpeg passes errors of writing on late or not at all; `check` does.

    Args:
        path: an older file there is overwritten.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refused: OSError | None = None
        try:
            self._file = path.open("w+b", buffering=0)
        except OSError as error:
            raise refusal(path, error) from error

    def write(self, data: bytes | bytearray) -> int:
        """Appends, or overwrites after `seek`."""
        return self._noted(lambda: self._write_all(data))

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, or all that follow."""
        return self._file.read(count) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to where reading or writing goes on."""
        return self._noted(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        """Where reading or writing goes on."""
        return self._file.tell()

    @property
    def closed(self) -> bool:
        """Whether it is complete or discarded: PyAV asks before it writes a last word."""
        return self._file.closed

    def check(self) -> None:
        """Raises OutputError if the disk refused anything so far."""
        if self._refused is not None:
            raise refusal(self._path, self._refused) from self._refused

    def complete(self) -> tuple[int, str]:
        """Closes the file for good; nothing deletes it any more.

        Returns:
            Its size, and the SHA-256 of its bytes in lower-case hex.

        Raises:
            OutputError: the disk refused.
        """
        self.check()
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.close()
        return size, digest

    def discard(self) -> None:
        """Closes and deletes the file, unless it is complete."""
        if self._file.closed:
            return
        self._file.close()
        with suppress(OSError):
            self._path.unlink()

    def _write_all(self, data: bytes | bytearray) -> int:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        return len(data)

    def _noted(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except OSError as error:
            self._refused = self._refused or error
            raise
