"""Downloads that go on where they broke off, in this process or in one that died.

What has come lies in a hidden file beside the target, named by the SHA-256 that the whole has to
have, so that no part of another file is ever taken up. The whole is held to that hash.
"""

from __future__ import annotations

import glob
import re
import time
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from octet.errors import ModelDamagedError
from octet.separation.models.cache import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from octet.separation.models.cache import Progress

TIMEOUT = httpx.Timeout(30, read=60)
"""Seconds for a connection and for each further piece."""

_BLOCK = 1024**2
_LONGEST = 8 * 1024**3
"""Bytes of a file whose size nobody has told."""

_ATTEMPTS = 5
"""Attempts in a row that may bring nothing."""

_PAUSE = 1.0
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def download(
    url: str,
    target: Path,
    report: Progress,
    *,
    sha256: str = "",
    size: int = 0,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Fetches a file, which appears at `target` whole or not at all.

    One process at a time, as under `Cache.locked`.

    Args:
        url: http or https; redirects are followed.
        target: in a folder that is there.
        report: told of the bytes so far.
        sha256: that it has to have, in hex; empty if that is not known. Nothing is taken up then.
        size: its bytes; 0 if that is not known. No more are taken.
        headers: of the request. An Authorization is not sent on to other hosts.

    Raises:
        ModelDamagedError: it is longer, or has another hash. Nothing of it is kept.
        httpx.HTTPError, httpx.InvalidURL: it did not arrive. What did is kept.
        OSError: it cannot be stored.
    """
    partial = partial_of(target, sha256)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        if left != partial or not sha256:
            left.unlink()
    taken_up = partial.exists()
    try:
        _fill(partial, url, target.name, report, size, headers or {})
        found = sha256_of(partial)
        if sha256 and found != sha256 and taken_up:  # the part that was there may be to blame
            partial.unlink()
            _fill(partial, url, target.name, report, size, headers or {})
            found = sha256_of(partial)
        if sha256 and found != sha256:
            raise ModelDamagedError(
                f"{target.name}, fetched from {shown(url)}, has the SHA-256 {found}, not {sha256}",
                "Do not use it. A proxy may have answered in its place; try later.",
            )
        partial.replace(target)
    except ModelDamagedError:
        partial.unlink(missing_ok=True)
        raise
    finally:
        if not sha256:
            partial.unlink(missing_ok=True)


def partial_of(target: Path, sha256: str) -> Path:
    """Where what has come of a file lies; the hash is that of the whole."""
    return target.with_name(f".{target.name}.{sha256[:16] or 'unknown'}.part")


def shown(url: str) -> str:
    """An address without a password, and without a query, which may be a signature."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _fill(
    partial: Path, url: str, name: str, report: Progress, size: int, headers: Mapping[str, str]
) -> None:
    """Brings a part up to the whole, over as many connections as it takes."""
    with (
        httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=headers) as client,
        partial.open("ab") as file,
    ):
        idle, most = 0, file.tell()
        while not size or file.tell() != size:
            try:
                if _ask(client, url, file, name, report, size):
                    return
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                idle, most = (0, file.tell()) if file.tell() > most else (idle + 1, most)
                if idle >= _ATTEMPTS or not _may_pass(error):
                    raise
                time.sleep(_PAUSE)


def _ask(
    client: httpx.Client, url: str, file: IO[bytes], name: str, report: Progress, size: int
) -> bool:
    """One request for what is missing; False if it has to be made again, from the start."""
    start = file.tell()
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with client.stream("GET", url, headers=headers) as answer:
        if start and not _begins_at(answer, start):
            file.seek(0)
            file.truncate()
            if answer.status_code != 200:
                return False
        answer.raise_for_status()
        total = size or file.tell() + int(answer.headers.get("Content-Length") or 0)
        for block in answer.iter_raw(_BLOCK):
            file.write(block)
            file.flush()  # so that it is there whatever becomes of this process
            if file.tell() > (size or _LONGEST):
                raise ModelDamagedError(
                    f"{shown(url)} gives more than the {size or _LONGEST} bytes of {name}",
                    "Do not use it.",
                )
            report(name, file.tell(), total)
    if size and file.tell() < size:
        raise httpx.RemoteProtocolError(f"{file.tell()} of {size} bytes have come")
    return True


def _begins_at(answer: httpx.Response, start: int) -> bool:
    """Whether an answer goes on there; False as well of a server that knows no ranges."""
    if answer.status_code in _TRY_AGAIN or answer.status_code in (401, 403, 404):
        return True  # an error, which says nothing of the part
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status_code == 206 and found is not None and int(found[1]) == start


def _may_pass(error: httpx.HTTPError) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _TRY_AGAIN
    return not isinstance(error, httpx.UnsupportedProtocol)
