"""A result as one zip archive, written while it is sent; nothing is compressed or kept."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from octet.storage.bucket import Bucket
    from octet.storage.headers import ObjectHead

_CHUNK = 256 * 1024


class _Pipe:
    """What zipfile writes to: a file that cannot seek, emptied after each step."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """Nor to close."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def zip_length(
    entries: Sequence[tuple[str, ObjectHead]], extra: Sequence[tuple[str, bytes]]
) -> int | None:
    """Bytes of the archive that `zip_stream` makes of the same; None where ZIP64 is needed,
    whose records depend on where each entry begins.
    """
    songs = sum(head.size for _, head in entries)
    if songs > zipfile.ZIP64_LIMIT // 2:
        return None
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, _ in entries:
            with archive.open(zipfile.ZipInfo(name), "w"):
                pass
        for name, data in extra:
            archive.writestr(zipfile.ZipInfo(name), data)
    return songs + len(pipe.take())


async def zip_stream(
    bucket: Bucket, entries: Sequence[tuple[str, ObjectHead]], extra: Sequence[tuple[str, bytes]]
) -> AsyncIterator[bytes]:
    """The bytes of an archive (ZIP64 where an entry needs it).

    Args:
        bucket: where the objects are.
        entries: name in the archive, and the object.
        extra: name and bytes of further small files.

    Raises:
        ObjectMissingError, StorageError: the archive breaks off then.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, head in entries:
            moment = max(head.modified.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
            info = zipfile.ZipInfo(name, moment)
            info.file_size = head.size
            with archive.open(info, "w") as file:
                async for chunk in bucket.stream(head.key, chunk=_CHUNK, etag=head.etag):
                    file.write(chunk)
                    yield pipe.take()
        for name, data in extra:
            archive.writestr(zipfile.ZipInfo(name), data)
    yield pipe.take()
