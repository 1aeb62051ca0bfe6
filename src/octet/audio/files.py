"""The song's file that is read, and the tracks' files that are written."""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from octet.errors import LimitError, NotAudioError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from octet.audio.song import Limits

Result = TypeVar("Result")

_HASH_BLOCK = 1 << 20
_GIVE_SONG = "Give the file of a song"
_ANOTHER = "Name another folder"


class SourceFile:
    """A regular file, open for reading; a context manager.

    It has no attribute `name`, so FFmpeg judges it by its bytes and not by its extension. A pipe
    or a device is never opened: reading it could block for ever.

    Args:
        path: where it is.
        limits: its size is checked.

    Raises:
        NotAudioError: there is nothing, or nothing that can be a song.
        LimitError: it is too large.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = Path(path)
        self._position = self._start = 0
        try:
            self._fd = _opened(self.path)
        except (OSError, ValueError) as error:
            raise NotAudioError(*_unreadable(self.path, error)) from error
        try:
            self.size = os.fstat(self._fd).st_size
            self._check(limits)
        except BaseException:
            self.close()
            raise

    def _check(self, limits: Limits) -> None:
        if self.size == 0:
            raise NotAudioError(f"{self.path} is empty", "Copy or download the song again")
        if limits.max_bytes is not None and self.size > limits.max_bytes:
            raise LimitError(
                f"{self.path} has {self.size:,} bytes, {limits.max_bytes:,} are allowed",
                "Give a smaller file, or raise the limit (OCTET_MAX_BYTES)",
            )

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from where the last reading ended."""
        data = self.pread(count, self._position)
        self._position += len(data)
        return data

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        return os.pread(self._fd, max(0, min(count, self.size - offset)), self._start + offset)

    def part(self, start: int, end: int) -> SourceFile:
        """The bytes from `start` to before `end`, as a file that stays open as long as this one."""
        part = copy.copy(self)
        part._start, part._position, part.size = self._start + start, 0, end - start
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to where the next `read` begins, as files do."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Where the next `read` begins."""
        return self._position

    def sha256(self) -> str:
        """SHA-256 of all bytes, in lower-case hex."""
        digest = hashlib.sha256()
        offset = 0
        while data := self.pread(_HASH_BLOCK, offset):
            digest.update(data)
            offset += len(data)
        return digest.hexdigest()

    def close(self) -> None:
        """Closes the file; again does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path) -> int:
    _check_kind(path.stat().st_mode)
    # A pipe may have taken the file's place by now: do not wait for its other end.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_kind(os.fstat(fd).st_mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_kind(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "")
    if not stat.S_ISREG(mode):
        raise OSError(errno.ENODEV, "")


def _unreadable(path: Path, error: OSError | ValueError) -> tuple[str, str]:
    if isinstance(error, ValueError):
        return f"{str(path)!r} cannot be the name of a file", _GIVE_SONG
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no file {path}", "Check the path"
        case errno.EISDIR:
            return f"{path} is a folder", "Give the files in it"
        case errno.EACCES | errno.EPERM:
            return f"{path} may not be read", "Change its permissions, or ask its owner"
        case errno.ENODEV | errno.ENXIO:
            return f"{path} is a pipe or a device", "Save the song to a file first"
    return f"{path} cannot be read: {error.strerror}", _GIVE_SONG


class OutputFile:
    """A new file, open for reading and writing, that FFmpeg can use in place of a path.

    FFmpeg reports errors of writing late or not at all; `check` raises them.

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
        return self._remembering(lambda: self._write_all(data))

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, or all that follow."""
        return self._file.read(count) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to where reading or writing goes on."""
        return self._remembering(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        """Where reading or writing goes on."""
        return self._file.tell()

    @property
    def closed(self) -> bool:
        """Whether it is complete or discarded; PyAV looks here before it writes a trailer."""
        return self._file.closed

    def check(self) -> None:
        """Raises OutputError if the system refused anything so far."""
        if self._refused is not None:
            raise refusal(self._path, self._refused) from self._refused

    def complete(self) -> tuple[int, str]:
        """Closes the file for good; `discard` no longer deletes it.

        Returns:
            Its size, and the SHA-256 of its bytes in lower-case hex.

        Raises:
            OutputError: the system refused.
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

    def _remembering(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except OSError as error:
            self._refused = self._refused or error
            raise


@dataclass(frozen=True)
class EncodedFile:
    """A finished file.

    Attributes:
        path: where it lies.
        bytes: its size.
        samples: its length, at the rate of the file.
        rate: samples a second in the file.
        sha256: of its bytes, in lower-case hex.
        clipped: how many samples, of both channels, went beyond full scale and were cut.
        residual_db: energy of (the file's sound minus what was written) over that of what was
            written, in dB, of a lossy encoding; None of any other.
    """

    path: Path
    bytes: int
    samples: int
    rate: int
    sha256: str
    clipped: int
    residual_db: float | None = None


def refusal(path: Path, error: OSError) -> OutputError:
    """The error to raise when `path`, a file or folder, could not be written."""
    place = f"cannot write to {path}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return OutputError(
                f"{place}: the disk is full", "Free some space, or name another folder"
            )
        case errno.EFBIG:
            return OutputError(f"{place}: the file is larger than the disk allows", _ANOTHER)
        case errno.EROFS:
            return OutputError(f"{place}: the disk is read-only", _ANOTHER)
        case errno.EACCES | errno.EPERM:
            return OutputError(f"{place}: permission denied", f"{_ANOTHER}, one of your own")
        case errno.ENOENT | errno.ENOTDIR:
            return OutputError(f"{place}: there is no such folder", "Make it first")
        case errno.EISDIR:
            return OutputError(f"{place}: a folder of that name is in the way", _ANOTHER)
    return OutputError(f"{place}: {error.strerror or error}", _ANOTHER)
