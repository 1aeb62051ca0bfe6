"""An object of the store as a download: whole or in part, streamed, or as a link to the store."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response, StreamingResponse

from octet.api.errors import is_lab, problem
from octet.formats import media_type
from octet.storage.headers import disposition

if TYPE_CHECKING:
    from starlette.requests import Request

    from octet.storage.bucket import Bucket
    from octet.storage.headers import ObjectHead

CHUNK = 256 * 1024
_LINK_LASTS = timedelta(hours=1)
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def send_object(request: Request, bucket: Bucket, head: ObjectHead, name: str) -> Response:
    """The answer that carries an object (RFC 9110, one range; several are answered whole).

    Args:
        request: its Range, If-Range, If-None-Match, and whether it is a HEAD.
        bucket: where the object is.
        head: the object; what follows is of this very version.
        name: of the file, for the client.
    """
    etag = f'"{head.etag.strip(chr(34))}"' if head.etag else ""
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(name),
        "Cache-Control": "private, no-cache",
        "Last-Modified": head.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        **({"ETag": etag} if etag else {}),
    }
    mime = media_type(head.key.rpartition(".")[2])
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    wanted = _range(request, head.size, etag)
    if wanted is None:
        return problem(
            416,
            "beyond-the-end",
            "the range lies beyond the end of the track",
            headers={"Content-Range": f"bytes */{head.size}"},
            lab=is_lab(request.url.path),
        )
    start, end = wanted
    status = 200 if (start, end) == (0, head.size) else 206
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{head.size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=mime)
    return StreamingResponse(
        bucket.stream(head.key, start, end, chunk=CHUNK, etag=head.etag),
        status_code=status,
        headers=headers,
        media_type=mime,
    )


async def send_link(bucket: Bucket, key: str) -> Response | None:
    """A redirect to the store itself; None where it has no addresses."""
    address = await bucket.presign(key, _LINK_LASTS)
    return RedirectResponse(address, 307) if address is not None else None


def _matches(condition: str, etag: str) -> bool:
    """Whether If-None-Match names this object: its etag, also as a weak one, or `*`."""
    named = [one.strip().removeprefix("W/") for one in condition.split(",")]
    return named == ["*"] or (bool(etag) and etag in named)


def _range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First byte and the one behind the last; None when there are none in the object."""
    header = request.headers.get("range", "")
    condition = request.headers.get("if-range")
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or (condition is not None and condition != etag):
        return 0, size
    if found[3] is not None:
        start, end = max(0, size - int(found[3])), size
        return (start, end) if start < end else None
    start = int(found[1])
    end = min(size, int(found[2]) + 1) if found[2] else size
    if found[2] and int(found[2]) < start:
        return 0, size
    return (start, end) if start < size else None
