"""Fetching a file of weights: resumed, checked, and there only when it is whole."""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import TYPE_CHECKING

import httpx

from octet.errors import ModelDamagedError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADDRESS = "https://huggingface.co"
MAX_BYTES = 4 * 1024**3
ATTEMPTS = 5

_TIMEOUT = httpx.Timeout(30, connect=10)


class _Again(Exception):  # noqa: N818 - a signal between two functions here, not an error
    """Something that may go better the next time."""


def address() -> str:
    """The hub: HF_ENDPOINT (a mirror, as for Hugging Face's own client), or the hub itself."""
    return os.environ.get("HF_ENDPOINT") or ADDRESS


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    pause: float = 1.0,
) -> str:
    """Fetches `url` into `target`, by way of `target` + `.partial`, which is taken up again.

    Args:
        url: where; redirects are followed, but not from https to http.
        target: the file; it appears whole, by rename. Its folder exists.
        sha256: what the file must have, in hex. When empty, the hash is used that the hub
            announces (X-Linked-ETag), if it does.
        on_progress: called with the bytes that are there and the bytes in all (0 while
            that is not known).
        pause: seconds before the second attempt; each further pause is twice as long.
            Attempts are counted from the last one that brought anything.

    Returns:
        The SHA-256 of the file.

    Raises:
        ModelUnavailableError: it cannot be reached, is not there, or cannot be stored.
        ModelDamagedError: what came has another hash, or is larger than any model.
    """
    partial = target.with_name(target.name + ".partial")
    fetcher = _Fetcher(url, partial, sha256, on_progress)
    try:
        fetcher.run(pause)
        partial.replace(target)
    except OSError as error:
        raise ModelUnavailableError(
            f"{target.name} cannot be stored in {target.parent} ({error.strerror})",
            "Make room, or set OCTET_CACHE to another folder.",
        ) from error
    return fetcher.actual


class _Fetcher:
    """One file on its way."""

    def __init__(
        self, url: str, partial: Path, sha256: str, on_progress: Callable[[int, int], None] | None
    ) -> None:
        self.url, self.partial = url, partial
        self.wanted, self.actual = sha256.lower(), ""
        self.on_progress = on_progress or (lambda _done, _total: None)

    def run(self, pause: float) -> None:
        failures, fresh = 0, not self._size()
        with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
            while True:
                before = self._size()
                try:
                    self._request(client)
                    if self._is_right():
                        return
                    if fresh:
                        raise ModelDamagedError(
                            f"{self.url} has the SHA-256 {self.actual}, not {self.wanted}",
                            "Do not use it. A proxy may have answered in its place; try later.",
                        )
                    # The part from an earlier run may belong to another version of the file.
                    fresh = True
                except (httpx.TransportError, _Again) as error:
                    failures = 1 if self._size() > before else failures + 1
                    if failures >= ATTEMPTS:
                        raise ModelUnavailableError(
                            f"{self.url} cannot be fetched ({error})"
                        ) from error
                    time.sleep(pause * 2 ** (failures - 1))

    def _request(self, client: httpx.Client) -> None:
        have = self._size()
        # Compressed transfers would make the range count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with client.stream("GET", self.url, headers=headers) as response:
            self._check(response)
            start = _start_of(response)
            if start not in (0, have):
                self.partial.unlink(missing_ok=True)
                raise _Again("the server sent another part than was asked for")
            self._store(response, start)

    def _check(self, response: httpx.Response) -> None:
        hops = [*response.history, response]
        if self.url.startswith("https:") and any(hop.url.scheme != "https" for hop in hops):
            raise ModelUnavailableError(f"{self.url} redirects to an address that is not secured")
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.partial.unlink(missing_ok=True)
            raise _Again("the server has no more bytes")
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            raise _Again(f"status {response.status_code}")
        if response.status_code not in (200, 206):
            raise ModelUnavailableError(f"{self.url} answers with status {response.status_code}")
        if not self.wanted:
            self.wanted = next(filter(None, map(_announced, hops)), "")

    def _store(self, response: httpx.Response, start: int) -> None:
        size = response.headers.get("Content-Length", "")
        total = start + int(size) if size.isdecimal() else 0
        done = start
        with self.partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in response.iter_raw():
                done += len(chunk)
                if max(done, total) > MAX_BYTES:
                    raise ModelDamagedError(f"{self.url} is larger than any model")
                file.write(chunk)
                self.on_progress(done, total)

    def _is_right(self) -> bool:
        with self.partial.open("rb") as file:
            self.actual = hashlib.file_digest(file, "sha256").hexdigest()
        if self.wanted in ("", self.actual):
            return True
        self.partial.unlink()
        return False

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0


def _start_of(response: httpx.Response) -> int:
    """Where in the file an answer begins: a server may ignore the range and send it all."""
    if response.status_code == httpx.codes.OK:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _announced(response: httpx.Response) -> str:
    """The SHA-256 by which the hub addresses a large file, or nothing."""
    tag: str = response.headers.get("X-Linked-ETag", "").strip('"').lower()
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""
