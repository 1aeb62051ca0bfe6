"""A song in the base64 of a JSON document, taken out of it while the document arrives.

    {"mp3": "SUQzBAAA...", "model": ..., "callback": ...}

Only the document without its song is held in memory, and that is bounded.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from octet.api.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

FIELD = "mp3"
LONGEST_REST = 256 * 1024
"""Bytes of the document without the song."""

_PLACE_HOLDER = b'""'
_SIGNS = re.compile(rb'\\.|["{}\[\]:,]', re.DOTALL)


class Base64Song:
    """Reads such a document. Iterate over `song` to its end; then `fields` holds the rest.

    Args:
        body: the document's bytes as they arrive.
    """

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._rest = b""
        self._scanned = 0  # how much of the rest has been looked at
        self._string_from: int | None = None  # where the string begins that is being read
        self._word = b""  # the latest string
        self._key = b""
        self._depth = 0
        self._expects_value = False
        self._song: _Decoder | None = None
        self._reading_song = False
        self.fields: dict[str, Any] = {}

    @property
    async def song(self) -> AsyncGenerator[bytes]:
        """The song's bytes, decoded.

        Raises:
            RefusedError: 400, the document is not such a one.
        """
        async for chunk in self._body:
            data = chunk
            while data:
                if self._reading_song:
                    data, decoded = self._take_song(data)
                    if decoded:
                        yield decoded
                else:
                    data = self._take_rest(data)
        self._finish()

    def _take_song(self, data: bytes) -> tuple[bytes, bytes]:
        """Decodes up to the closing quote; returns what lies behind it, and the song's bytes."""
        assert self._song is not None  # noqa: S101  # it is there while the song is read
        end = data.find(b'"')
        if end < 0:
            return b"", self._song.feed(data)
        self._reading_song = False
        self._rest += _PLACE_HOLDER
        self._scanned = len(self._rest)
        return data[end + 1 :], self._song.feed(data[:end]) + self._song.finish()

    def _take_rest(self, data: bytes) -> bytes:
        """Scans up to where the song begins; returns what lies behind its opening quote."""
        self._rest += data
        self._check_rest()
        for found in _SIGNS.finditer(self._rest, self._scanned):
            self._scanned = found.end()
            if self._scan(found.group(), found.start()):
                behind = self._rest[self._scanned :]
                self._rest = self._rest[: found.start()]
                return behind
        # A backslash at the very end belongs together with what comes next.
        self._scanned = len(self._rest) - self._rest.endswith(b"\\", self._scanned)
        return b""

    def _scan(self, sign: bytes, place: int) -> bool:
        """Follows the document's structure by one sign; True where the song begins."""
        if self._string_from is not None:
            if sign == b'"':
                self._word, self._string_from = self._rest[self._string_from : place + 1], None
        elif sign == b'"':
            if self._begins_song():
                return True
            self._string_from = place
        elif sign in (b"{", b"["):
            self._depth += 1
            self._expects_value = False
        elif sign in (b"}", b"]"):
            self._depth -= 1
        elif sign == b":":
            self._key, self._expects_value = self._word, True
        elif sign == b",":
            self._expects_value = False
        return False

    def _begins_song(self) -> bool:
        if not (self._depth == 1 and self._expects_value and _text(self._key) == FIELD):
            return False
        if self._song is not None:
            raise _malformed(f"{FIELD} is there twice")
        self._song, self._reading_song, self._expects_value = _Decoder(), True, False
        return True

    def _check_rest(self) -> None:
        if len(self._rest) > LONGEST_REST:
            raise RefusedError(413, "limit", "the JSON document is too large beside its song")

    def _finish(self) -> None:
        if self._reading_song:
            raise _malformed("it ends within the song")
        try:
            fields = json.loads(self._rest)
        except (ValueError, RecursionError):
            raise _malformed("it is no valid JSON") from None
        if not isinstance(fields, dict):
            raise _malformed("it is no JSON object")
        if self._song is None:
            raise RefusedError(
                400, "no-song", f"{FIELD} is missing", f"{FIELD} holds the song's bytes in base64"
            )
        self.fields = fields


class _Decoder:
    """Base64 (RFC 4648), piece by piece. JSON's escapes of slashes and line breaks are known."""

    def __init__(self) -> None:
        self._left = b""
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        data = self._left + data
        self._left = b""
        if b"\\" in data:
            if data.endswith(b"\\"):
                data, self._left = data[:-1], b"\\"
            data = data.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b"\\r", b"")
        whole = len(data) & ~3
        self._left = data[whole:] + self._left
        return self._decode(data[:whole])

    def finish(self) -> bytes:
        if self._left:
            raise _bad_base64()
        return b""

    def _decode(self, quads: bytes) -> bytes:
        if not quads:
            return b""
        if self._ended:
            raise _bad_base64()
        try:
            decoded = binascii.a2b_base64(quads, strict_mode=True)
        except binascii.Error:
            raise _bad_base64() from None
        self._ended = quads.endswith(b"=")
        return decoded


def _text(word: bytes) -> str | None:
    try:
        value = json.loads(word)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _malformed(why: str) -> RefusedError:
    return RefusedError(400, "malformed", f"the JSON document cannot be read: {why}")


def _bad_base64() -> RefusedError:
    return RefusedError(
        400, "bad-base64", f"{FIELD} is not valid base64", "Encode the file's bytes by RFC 4648"
    )
