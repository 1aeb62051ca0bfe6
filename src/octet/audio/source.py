"""The song's file: opened so that nothing but a plain file is ever read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import LimitError, NotAudioError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from octet.audio.song import Limits

_HASH_BLOCK = 1 << 20
_GIVE_SONG = "Give the file of a song"


class SourceFile:
    """A regular file, open for reading; a context manager.

    It has no `name`: FFmpeg shall judge a file by its bytes, not by its ending.

    Args:
        path: where it is.
        limits: its size is checked.

    Raises:
        NotAudioError: there is nothing, or nothing that can be a song.
        LimitError: it is too large.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = Path(path)
        self._position = 0
        try:
            self._fd = _opened(self.path)
        except (OSError, ValueError) as error:
            raise NotAudioError(*_explained(self.path, error)) from error
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
                "Give a smaller file, or raise the limit",
            )

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from where the last reading ended."""
        data = self.pread(count, self._position)
        self._position += len(data)
        return data

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        return os.pread(self._fd, count, offset)

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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


def _explained(path: Path, error: OSError | ValueError) -> tuple[str, str]:
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
