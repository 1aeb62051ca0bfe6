"""multipart/form-data, part by part, while it arrives: fields first or last, one file."""

from __future__ import annotations

import re
from collections import deque
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from octet.api.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

LONGEST_FIELD = 64 * 1024
_MOST_FIELDS = 32
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*\"?([\w-]+)'[\w-]*'([^;\s\"]*)\"?", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bqBQ]\?[^?]*\?=")


class Form:
    """Reads a form with one file in it.

    Iterate over `file` to its end, which is the end of the form; then `fields` holds the rest.

    Args:
        content_type: the request's header.
        body: its bytes as they arrive.

    Raises:
        RefusedError: 400, the header names no boundary.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _malformed("its Content-Type names no boundary")
        self._body = body
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._field: tuple[str, bytearray] | None = None
        self._file: deque[bytes] = deque()
        self._ended = False
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_begin,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_part_end": self._on_end,
                    "on_end": self._on_form_end,
                },
            )
        except FormParserError:
            raise _malformed("its boundary is too long") from None

    @property
    async def file(self) -> AsyncGenerator[bytes]:
        """The file's bytes.

        Raises:
            RefusedError: 400, this is no such form, or there is no file in it.
        """
        async for chunk in self._body:
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise _malformed("it is not multipart/form-data") from None
            while self._file:
                yield self._file.popleft()
        if not self._ended:
            raise _malformed("it breaks off")
        if self.file_name is None:
            raise RefusedError(
                400, "no-song", "the form holds no file", "Send it as the field 'file'"
            )

    def _on_begin(self) -> None:
        self._headers = {}
        self._field = None

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers(self) -> None:
        header = self._headers.get(b"content-disposition", b"")
        name = parse_options_header(header)[1].get(b"name", b"").decode("utf-8", "replace")
        file_name = _file_name(header)
        if file_name is not None or name == "file":
            if self.file_name is not None:
                raise _malformed("it holds two files")
            self.file_name = file_name or ""
            return
        if not name or name in self.fields or len(self.fields) >= _MOST_FIELDS:
            raise _malformed("a field has no name, comes twice, or there are too many")
        self._field = (name, bytearray())

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file.append(data[start:end])
            return
        name, value = self._field
        if len(value) + end - start > LONGEST_FIELD:
            raise RefusedError(413, "limit", f"the field {name[:40]!r} is too long")
        value.extend(data[start:end])

    def _on_end(self) -> None:
        if self._field is not None:
            name, value = self._field
            self.fields[name] = value.decode("utf-8", "replace")

    def _on_form_end(self) -> None:
        self._ended = True


def _file_name(header: bytes) -> str | None:
    """The file's name in a Content-Disposition; None if it has none.

    As RFC 6266 has it, `filename*` (RFC 5987) goes before `filename`, which some clients send as
    an encoded word (RFC 2047).
    """
    found = _EXTENDED.search(header)
    if found is not None:
        try:
            return unquote_to_bytes(found[2]).decode(found[1].decode())
        except (LookupError, UnicodeDecodeError):
            pass  # `filename` may be better
    name = parse_options_header(_EXTENDED.sub(b"", header))[1].get(b"filename")
    if name is None:
        return None if found is None else unquote_to_bytes(found[2]).decode("utf-8", "replace")
    text = name.decode("utf-8", "replace")
    try:
        return str(make_header(decode_header(text))) if _ENCODED_WORD.search(text) else text
    except (LookupError, ValueError, HeaderParseError):
        return text


def _malformed(why: str) -> RefusedError:
    return RefusedError(400, "malformed", f"the form cannot be read: {why}")
