"""An ONNX file written node by node, without the onnx package.

ONNX is a protobuf message: fields with a number, a wire type and, for what is nested, a length.
The numbers are those of onnx.proto3. One file, which carries its description with it, is what
the cache and OpenVINO already know; OpenVINO's own format is two files that can come apart.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TypeAlias

    Attribute: TypeAlias = int | float | Sequence[int]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of the protobuf encoding."""

_IR_VERSION = 8
_OPSET = 17
_FLOAT, _INT64 = 1, 7
_TYPES = {"float32": _FLOAT, "int64": _INT64}
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 2, 7


class Graph:
    """A network under construction: constants and operations, in the order of computation."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Declares an input of float32."""
        self._inputs.append(port(name, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """Declares `value` an output of float32, under the name `name`."""
        self._nodes.append(node("Identity", [value], name, {}))
        self._outputs.append(port(name, shape))

    def constant(self, array: np.ndarray) -> str:
        """A constant of float32 or int64."""
        name = self._fresh()
        self._constants.append(tensor(name, array))
        return name

    def add(self, operation: str, *inputs: str, **attributes: Attribute) -> str:
        """An operation of ONNX (opset 17) with one output, whose name is returned."""
        name = self._fresh()
        self._nodes.append(node(operation, inputs, name, attributes))
        return name

    def write(self, path: Path) -> None:
        """Writes the file; `octet.separation.models.onnx.write_spec` adds the description."""
        graph = (
            b"".join(field(1, node) for node in self._nodes)
            + text(2, self._name)
            + b"".join(field(5, constant) for constant in self._constants)
            + b"".join(field(11, value) for value in self._inputs)
            + b"".join(field(12, value) for value in self._outputs)
        )
        with path.open("wb") as file:
            file.write(integer(1, _IR_VERSION) + text(2, "octet"))
            file.write(field(8, text(1, "") + integer(2, _OPSET)))
            file.write(tag(7, BYTES) + varint(len(graph)))
            file.write(graph)

    def _fresh(self) -> str:
        self._count += 1
        return f"v{self._count}"


def tag(number: int, wire: int) -> bytes:
    """What stands before a field."""
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    """A whole number from 0 up, seven bits a byte, the lowest first."""
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, text or a nested message."""
    return tag(number, BYTES) + varint(len(data)) + data


def text(number: int, value: str) -> bytes:
    """A field of text."""
    return field(number, value.encode())


def integer(number: int, value: int) -> bytes:
    """A field with a whole number from 0 up (or a negative one in 64 bits)."""
    return tag(number, VARINT) + varint(value & (2**64 - 1))


def tensor(name: str, array: np.ndarray) -> bytes:
    """TensorProto: a constant of float32 or int64, little-endian."""
    return (
        b"".join(integer(1, size) for size in array.shape)
        + integer(2, _TYPES[array.dtype.name])
        + text(8, name)
        + field(9, np.ascontiguousarray(array).tobytes())
    )


def port(name: str, shape: Sequence[int]) -> bytes:
    """ValueInfoProto: a name and the type of a tensor of float32."""
    sizes = b"".join(field(1, integer(1, size)) for size in shape)
    return text(1, name) + field(2, field(1, integer(1, _FLOAT) + field(2, sizes)))


def node(
    operation: str, inputs: Sequence[str], output: str, attributes: dict[str, Attribute]
) -> bytes:
    """NodeProto: an operation on values that are named, and the name of what it gives."""
    return (
        b"".join(text(1, name) for name in inputs)
        + text(2, output)
        + text(4, operation)
        + b"".join(field(5, _attribute(*item)) for item in attributes.items())
    )


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        data, kind = tag(2, FIXED32) + struct.pack("<f", value), _ATTRIBUTE_FLOAT
    elif isinstance(value, int):
        data, kind = integer(3, value), _ATTRIBUTE_INT
    else:
        data, kind = b"".join(integer(8, item) for item in value), _ATTRIBUTE_INTS
    return text(1, name) + data + integer(20, kind)
