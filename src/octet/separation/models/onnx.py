"""The description in an ONNX file, and one worked out for files that carry none.

The file's metadata property `octet` holds a JSON object, `ModelSpec`. It is read and written
without the onnx package: an ONNX file is one protobuf message whose outermost fields can be
walked by their lengths, so the weights are skipped, not parsed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from octet.errors import ModelDamagedError, UnknownModelError
from octet.separation.models.graph import BYTES, FIXED32, FIXED64, VARINT, field
from octet.separation.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METADATA_KEY = "octet"
MAX_TEXT = 64 * 1024
"""Bytes of a key or a value that are read; no description is as long."""

# Field numbers of ModelProto and StringStringEntryProto in onnx.proto3.
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2

SOURCES = ("drums", "bass", "other", "vocals")
SAMPLERATE = 44_100
SECONDS = 10

_HINT = (
    "Without a description, a model takes (1, 2, n) and gives (1, 4, 2, n): drums, bass, other, "
    f"vocals at {SAMPLERATE} Hz. For anything else, state name, sources, samplerate, segment and "
    f"kind as JSON in the ONNX metadata property `{METADATA_KEY}` (octet.separation.models.spec)."
)


def read_spec(path: Path) -> ModelSpec | None:
    """Reads what an ONNX file says about itself; None if it carries no description.

    Raises:
        UnknownModelError: there is no such file.
        ModelDamagedError: it is not an ONNX file or is cut off, or its description makes no
            sense.
    """
    try:
        with path.open("rb") as file:
            fields = (one for one in spans(file) if one.number == _METADATA_PROPS)
            found = dict(_entry(file, one) for one in fields)
    except FileNotFoundError as error:
        raise UnknownModelError(f"there is no model file {path.name}") from error
    except OSError as error:
        raise UnknownModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, EOFError) as error:
        raise ModelDamagedError(
            f"{path.name} is not a whole ONNX file ({error})", "Fetch or convert it again."
        ) from error
    text = found.get(METADATA_KEY)
    return None if text is None else ModelSpec.from_json(text)


def write_spec(path: Path, spec: ModelSpec) -> None:
    """Adds the description to an ONNX file, replacing the one that is there.

    It is appended: in protobuf, a repeated field may be continued at the end of a message,
    and `read_spec` takes the last one.
    """
    entry = field(_KEY, METADATA_KEY.encode()) + field(_VALUE, spec.to_json().encode())
    with path.open("ab") as file:
        file.write(field(_METADATA_PROPS, entry))


def describe_onnx(path: Path) -> ModelSpec:
    """Works out from its shapes what an ONNX file without description takes and gives.

    The song is handed to it as it is, not normalised. A fixed length n is its segment.

    Raises:
        ModelDamagedError: it cannot be read, or has other shapes.
    """
    import openvino

    try:
        model: Any = openvino.Core().read_model(path)
        given, taken = _shape(model.inputs), _shape(model.outputs)
    except RuntimeError as error:
        raise ModelDamagedError(
            f"{path.name} is not an ONNX model that can be read", "Fetch or export it again."
        ) from error
    fits = (
        given is not None
        and taken is not None
        and (len(given), len(taken)) == (3, 4)
        and given[0] in (1, None)
        and given[1] in (2, None)
        and taken[1] == len(SOURCES)
        and taken[2] in (2, None)
    )
    if not fits or given is None:
        raise ModelDamagedError(
            f"{path.name} does not say what it is, and its shapes ({given} to {taken}) do not "
            "tell either",
            _HINT,
        )
    length = given[2]
    return ModelSpec(
        name=path.stem,
        sources=SOURCES,
        samplerate=SAMPLERATE,
        segment=length or SECONDS * SAMPLERATE,
        kind="waveform",
        fixed=length is not None,
        normalize=False,
    )


def _shape(ports: Any) -> list[int | None] | None:
    """The only port's shape, None where a size is open; None when there are several ports."""
    if len(ports) != 1 or ports[0].partial_shape.rank.is_dynamic:
        return None
    return [None if size.is_dynamic else size.get_length() for size in ports[0].partial_shape]


class Span(NamedTuple):
    """Where a field of a protobuf message lies in a file.

    Attributes:
        number: of the field.
        first: where it begins, with its tag.
        start: where what it holds begins; `end`: behind that.
        value: of a whole number; 0 for all else.
    """

    number: int
    first: int
    start: int
    end: int
    value: int


def spans(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The outermost fields of a protobuf message, which is the file or a part of it.

    Raises:
        ValueError: this is no protobuf message.
        EOFError: it ends within a field.
    """
    position = start
    end = os.fstat(file.fileno()).st_size if end is None else end
    if end == 0:
        raise EOFError("it is empty")
    while position < end:
        file.seek(position)
        number, wire = divmod(_read_varint(file), 8)
        if number == 0:
            raise ValueError("it is no protobuf message")
        value = size = 0
        if wire == BYTES:
            size = _read_varint(file)
        elif wire == VARINT:
            value = _read_varint(file)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError("it is no protobuf message")
        span = Span(number, position, file.tell(), file.tell() + size, value)
        position = span.end
        if position > end:
            raise EOFError("it is cut off")
        yield span


def text_in(file: BinaryIO, span: Span) -> str:
    """The text of a field, of which no more than MAX_TEXT bytes."""
    file.seek(span.start)
    return file.read(min(span.end - span.start, MAX_TEXT)).decode(errors="replace")


def _entry(file: BinaryIO, whole: Span) -> tuple[str, str]:
    """One StringStringEntryProto: a key and its value."""
    parts = {one.number: text_in(file, one) for one in spans(file, whole.start, whole.end)}
    return parts.get(_KEY, ""), parts.get(_VALUE, "")


def _read_varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no protobuf message")
