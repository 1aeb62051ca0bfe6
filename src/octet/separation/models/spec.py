"""Converted models: one ONNX file that says itself what it is.

The file's metadata property `octet` holds a JSON object, `ModelSpec`. It is read and written
here without the onnx package: an ONNX file is one protobuf message whose outermost fields can
be walked by their lengths, so the weights are skipped, not parsed.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from octet.errors import ModelDamagedError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Kind = Literal["spectral", "hybrid", "waveform"]
Padding = Literal["demucs", "demucs-old", "center"]

METADATA_KEY = "octet"
FORMAT = 1
"""The number of this metadata format. A file of a later format is refused."""

# Field numbers of ModelProto and StringStringEntryProto in onnx.proto3.
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2
# Wire types of the protobuf encoding.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class StftSpec:
    """The transform around a spectral or hybrid network.

    Attributes:
        n_fft: length of a frame, in samples; even.
        hop: from one frame to the next, in samples.
        padding: how the edges are treated, see `octet.separation.stft`. `demucs-old` is that
            of HDemucs models with `hybrid_old`.
        bins: how many frequencies the network sees, from 0 Hz up. The others are dropped
            before it and are zero after it. Demucs drops the highest alone: n_fft / 2.
    """

    n_fft: int
    hop: int
    padding: Padding
    bins: int

    def __post_init__(self) -> None:
        _require(self.n_fft >= 4 and self.n_fft % 2 == 0, "`n_fft` is not an even number")
        _require(0 < self.hop <= self.n_fft // 2, "`hop` is not within 1 to n_fft / 2")
        _require(self.padding in get_args(Padding), f"unknown padding {self.padding!r}")
        _require(
            self.padding == "center" or self.hop * 4 == self.n_fft,
            "Demucs' padding needs a hop of n_fft / 4",
        )
        _require(0 < self.bins <= self.n_fft // 2 + 1, "`bins` is not within 1 to n_fft / 2 + 1")


@dataclass(frozen=True)
class ValidLengths:
    """The lengths that Demucs' waveform network takes without padding zeros to them.

    Each of `depth` layers needs kernel + k * stride samples; `resample` says that the
    network works at twice the rate (`demucs.demucs.Demucs.valid_length`).
    """

    depth: int
    kernel: int
    stride: int
    resample: bool

    def at_least(self, length: int) -> int:
        """The shortest valid length that holds `length` samples."""
        if self.resample:
            length *= 2
        for _ in range(self.depth):
            length = max(1, math.ceil((length - self.kernel) / self.stride) + 1)
        for _ in range(self.depth):
            length = (length - 1) * self.stride + self.kernel
        return math.ceil(length / 2) if self.resample else length


@dataclass(frozen=True)
class ModelSpec:
    """What a network takes and gives, and whose it is.

    Attributes:
        name: short name, as shown to people.
        sources: the stems' names, in the order of the outputs.
        samplerate: in Hz, of input and output.
        segment: samples that the network was made for at a time.
        kind: `spectral`: input `spec` (b, 4, bins, frames) -> output `spec` (b, S, 4, bins,
            frames). `waveform`: input `mix` (b, 2, n) -> output `wave` (b, S, 2, n).
            `hybrid`: both inputs, both outputs; the stems are their sum. Where ONNX forbids
            one name for an input and an output, the output `spec` is named `spec_out`.
            The four channels of a spectrum are left real, left imaginary, right real, right
            imaginary.
        stft: the transform around the network; None for `waveform` alone.
        fixed: the network takes segments of exactly `segment` samples (HTDemucs); otherwise
            the last, shorter piece of a song runs at its own length.
        valid_lengths: for Demucs' waveform networks, which lengths fit.
        overlap: share of a segment that overlaps with the next, unless asked otherwise.
        normalize: the network expects the song divided by its deviation.
        center: and less its mean, which Demucs adds to every stem again: in a song with an
            offset, silence is then no silence in its stems.
        licence: SPDX identifier, or a sentence.
        origin: where the weights come from: an address, or who trained them on what.
    """

    name: str
    sources: tuple[str, ...]
    samplerate: int
    segment: int
    kind: Kind
    stft: StftSpec | None = None
    fixed: bool = True
    valid_lengths: ValidLengths | None = None
    overlap: float = 0.25
    normalize: bool = True
    center: bool = True
    licence: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        _require(bool(self.sources), "it has no sources")
        _require(len(set(self.sources)) == len(self.sources), "a source is named twice")
        _require(self.samplerate > 0, "`samplerate` is not positive")
        _require(self.segment > 0, "`segment` is not positive")
        _require(self.kind in get_args(Kind), f"unknown kind {self.kind!r}")
        _require((self.stft is None) == (self.kind == "waveform"), "`stft` and `kind` disagree")
        _require(0 <= self.overlap < 1, "`overlap` is not within 0 to 1")

    def valid_length(self, length: int) -> int:
        """How many samples to run the network on, for a piece of `length` samples."""
        if self.fixed:
            return self.segment
        return self.valid_lengths.at_least(length) if self.valid_lengths else length

    def to_json(self) -> str:
        """The metadata property's value."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Reads the metadata property's value.

        Raises:
            ModelDamagedError: it is not such an object, or of a later format.
        """
        try:
            values = json.loads(text)
            _require(values.pop("format") <= FORMAT, "it was written by a later Octet")
            return cls(**_known(cls, values))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelDamagedError(
                f"the model's description cannot be read: {error!r}",
                "Convert the model again with this version of Octet.",
            ) from error


def read_spec(path: Path) -> ModelSpec:
    """Reads what a converted model says about itself.

    Raises:
        UnknownModelError: there is no such file.
        ModelDamagedError: it is not an ONNX file, cut off, or was not made for Octet.
    """
    try:
        with path.open("rb") as file:
            found = [_entry(file, *span) for span in _spans(file) if span[0] == _METADATA_PROPS]
    except FileNotFoundError as error:
        raise UnknownModelError(f"there is no model file {path.name}") from error
    except OSError as error:
        raise UnknownModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, EOFError) as error:
        raise ModelDamagedError(
            f"{path.name} is not a whole ONNX file ({error})", "Fetch or convert it again."
        ) from error
    for key, value in reversed(found):
        if key == METADATA_KEY:
            return ModelSpec.from_json(value)
    raise ModelDamagedError(
        f"{path.name} does not say what it is: it has no metadata property `{METADATA_KEY}`",
        "Only ONNX files converted or exported for Octet can be used.",
    )


def write_spec(path: Path, spec: ModelSpec) -> None:
    """Adds the description to an ONNX file, replacing the one that is there.

    It is appended: in protobuf, a repeated field may be continued at the end of a message,
    and `read_spec` takes the last one.
    """
    entry = b"".join(
        _tag(number, _BYTES) + _varint(len(data)) + data
        for number, data in (
            (_KEY, METADATA_KEY.encode()),
            (_VALUE, spec.to_json().encode()),
        )
    )
    with path.open("ab") as file:
        file.write(_tag(_METADATA_PROPS, _BYTES) + _varint(len(entry)) + entry)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ModelDamagedError(
            f"the model's description makes no sense: {reason}", "Convert the model again."
        )


def _known(cls: type[ModelSpec], values: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments out of a JSON object."""
    names = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"unknown fields {', '.join(unknown)}")
    values["sources"] = tuple(values["sources"])
    for name, kind in (("stft", StftSpec), ("valid_lengths", ValidLengths)):
        if values.get(name) is not None:
            values[name] = kind(**values[name])
    return values


def _spans(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """The outermost fields of a protobuf message: number, start and size of what they hold.

    Raises:
        ValueError: this is no protobuf message.
        EOFError: it ends within a field.
    """
    end = os.fstat(file.fileno()).st_size
    if end == 0:
        raise EOFError("it is empty")
    position = 0
    while position < end:
        file.seek(position)
        number, wire = divmod(_read_varint(file), 8)
        if number == 0:
            raise ValueError("it is no protobuf message")
        if wire == _BYTES:
            size = _read_varint(file)
        elif wire == _VARINT:
            _read_varint(file)
            size = 0
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("it is no protobuf message")
        start = file.tell()
        position = start + size
        if position > end:
            raise EOFError("it is cut off")
        if wire == _BYTES:
            yield number, start, size


def _entry(file: BinaryIO, _number: int, start: int, size: int) -> tuple[str, str]:
    """One StringStringEntryProto: a key and its value."""
    file.seek(start)
    parts = {}
    while file.tell() < start + size:
        number, wire = divmod(_read_varint(file), 8)
        if wire != _BYTES:
            raise ValueError("its metadata cannot be read")
        length = _read_varint(file)
        parts[number] = file.read(length).decode()
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


def _varint(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)
