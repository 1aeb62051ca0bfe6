"""Songs in requests: their bodies decoded, their sizes bounded, and what is known of them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from octet.api.errors import RefusedError
from octet.intake import songs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request

    from octet.api.state import Service
    from octet.intake.songs import Song

_PIECE = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

LONGEST_JSON = 256 * 1024
"""Bytes of a JSON document, or of what stands beside a song in one."""


def receive_song(
    service: Service, chunks: AsyncIterator[bytes]
) -> AbstractAsyncContextManager[Song]:
    """Takes a song of a request to the store: see `octet.intake.songs.receive_song`."""
    return songs.receive_song(service.buckets.queue, chunks, service.settings.max_upload)


async def measure_song(service: Service, key: str) -> Song:
    """The same for a song that somebody has put into the queue bucket already."""
    return await songs.measure_song(service.buckets.queue, key, service.settings.max_upload)


async def discard_song(service: Service, song: str) -> bool:
    """Deletes an uploaded song that no job needs: see `octet.intake.songs.discard_song`."""
    return await songs.discard_song(service.buckets.queue, song, lambda: is_needed(service, song))


async def is_needed(service: Service, song: str) -> bool:
    """Whether a job of this song waits or runs, or is about to be put on the queue by an import.

    Raises:
        QueueUnavailableError: the queue does not answer.
    """
    # In the order of their way, so that none slips through in between.
    if song in await service.queue.coming() or song in await service.reader.songs():
        return True
    running = await service.queue.jobs(state="running", limit=1000)
    return any(job.song == song for job in running.jobs)


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, its gzip or deflate undone a bounded piece at a time.

    Raises:
        RefusedError: 415, another coding; 400, it is not what its header says.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise RefusedError(
            415,
            "unsupported-coding",
            f"a body in Content-Encoding {coding[:40]!a} is not read",
            "Send it as it is, or by gzip",
        )
    if coding in ("", "identity"):
        async for chunk in request.stream():
            yield chunk
        return
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    async for chunk in request.stream():
        data = chunk
        while data:
            if decoder.eof:  # a gzip file may have several members
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = decoder.decompress(data, _PIECE)
            except zlib.error:
                raise RefusedError(400, "malformed", f"the body is not in {coding}") from None
            if piece:
                yield piece
            data = decoder.unconsumed_tail or decoder.unused_data
    if not decoder.eof:
        raise RefusedError(400, "malformed", f"the body's {coding} breaks off")


def check_length(length: str, limit: int, *, share: float = 1.0) -> None:
    """Refuses what says itself that it is too large, before any of it is read.

    Args:
        length: the request's Content-Length; empty if it has none.
        limit: bytes of a song.
        share: of the body's bytes that are the song's.

    Raises:
        LimitError: it is too large.
    """
    if length.isdecimal() and int(length) * share > limit + LONGEST_JSON:
        raise songs.too_large(limit)
