"""A stream of bytes into a file that appears whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable


async def save(
    chunks: AsyncIterable[bytes],
    path: Path,
    size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes chunks beside `path`, then renames; after a failure nothing is left behind.

    The file is not synchronised to the disk: what is fetched can be fetched again.

    Args:
        chunks: the bytes.
        path: the file; replaced if it is there. Its folder must exist.
        size: the number of bytes there must be.
        on_progress: called with the bytes so far and in all.

    Raises:
        StorageError: if there are more or fewer bytes, or the file cannot be written.
    """
    done = 0
    try:
        descriptor, name = await asyncio.to_thread(
            tempfile.mkstemp, prefix=".", suffix=".part", dir=path.parent
        )
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, size)
        if done != size:
            raise StorageError(f"{path.name} came with {done} bytes instead of {size}")
        await asyncio.to_thread(Path(name).replace, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}",
        "check the folder's permissions and the space left on its disk",
    )
