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
_LONGEST_ADDRESS = 256
"""Characters of a data: address before its comma."""
_ESCAPE = re.compile(rb"\\(u[0-9A-Fa-f]{4}|[^u])", re.DOTALL)
_PART_OF_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
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
    """Base64 (RFC 4648) within a JSON string, piece by piece.

    The string may escape any character, break lines, and begin as a `data:` address.
    """

    def __init__(self) -> None:
        self._escape = b""  # one that is not whole yet
        self._head: bytes | None = b""  # what may be the beginning of a data: address
        self._left = b""  # less than four characters
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that these characters complete.

        Raises:
            RefusedError: 400, they are not base64.
        """
        data = self._left + self._without_address(self._unescaped(data))
        whole = len(data) & ~3
        self._left = data[whole:]
        return self._decode(data[:whole])

    def finish(self) -> bytes:
        """The bytes that are left at the end of the string.

        Raises:
            RefusedError: 400, it may not end here.
        """
        if self._head is not None and self._head[:5].lower() == b"data:":
            raise _bad_base64("it is a data: address without a comma")
        data, self._head, self._left = self._left + (self._head or b""), None, b""
        if self._escape or len(data) % 4:
            reason = "it goes on behind its padding" if self._ended else "its padding is missing"
            raise _bad_base64("it ends within an escape" if self._escape else reason)
        return self._decode(data)

    def _unescaped(self, data: bytes) -> bytes:
        if self._escape or b"\\" in data:
            data = self._escape + data
            found = _PART_OF_ESCAPE.search(data)
            self._escape = found.group() if found else b""
            data = _ESCAPE.sub(_character, data[: len(data) - len(self._escape)])
        return data.translate(None, b"\r\n")

    def _without_address(self, data: bytes) -> bytes:
        if self._head is None:
            return data
        data = self._head + data
        if not b"data:".startswith(data[:5].lower()):
            self._head = None
            return data
        address, comma, rest = data.partition(b",")
        if not comma:
            if len(data) > _LONGEST_ADDRESS:
                raise _bad_base64("it is a data: address without a comma")
            self._head = data
            return b""
        if not address.lower().endswith(b";base64"):
            raise _bad_base64("it is a data: address that is not in base64")
        self._head = None
        return rest

    def _decode(self, quads: bytes) -> bytes:
        if not quads:
            return b""
        if self._ended:
            raise _bad_base64("it goes on behind its padding")
        try:
            decoded = binascii.a2b_base64(quads, strict_mode=True)
        except binascii.Error:
            raise _bad_base64(_what_is_wrong(quads)) from None
        self._ended = quads.endswith(b"=")
        return decoded


def _character(escape: re.Match[bytes]) -> bytes:
    """The character that an escape of JSON stands for."""
    if escape[1].startswith(b"u"):
        return chr(int(escape[1][1:], 16)).encode("utf-8", "replace")
    return _SHORT.get(escape[1], escape[1])


def _what_is_wrong(quads: bytes) -> str:
    found = re.search(rb"[^A-Za-z0-9+/=]", quads)
    if found is None:
        return "its padding is in the wrong place"
    if found.group() in b"-_":
        return "it is base64url, with - and _ in the place of + and /"
    return f"{found.group().decode('latin-1')!a} stands in it"


def _text(word: bytes) -> str | None:
    try:
        value = json.loads(word)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _malformed(why: str) -> RefusedError:
    return RefusedError(400, "malformed", f"the JSON document cannot be read: {why}")


def _bad_base64(why: str) -> RefusedError:
    return RefusedError(
        400,
        "bad-base64",
        f"{FIELD} is not valid base64: {why}",
        "Encode the file's bytes by RFC 4648",
    )
