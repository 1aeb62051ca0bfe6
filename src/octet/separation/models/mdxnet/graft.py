"""An MDX-Net file as an Octet model: the same network with a few operations around it.

These networks take and give a spectrum (b, 4, bins, frames) in the scale of `torch.stft` as it
is, and one stem. Octet's spectra are unitary, its networks have an axis of stems, and vocals are
what it needs. So the copy in the cache begins with a multiplication and ends with one, a
subtraction where the network estimates the instrumental, and another shape. The weights are
copied as they lie in the file: an ONNX file is a protobuf message, whose lists may be lengthened.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from octet.errors import ModelDamagedError
from octet.separation.models import graph
from octet.separation.models.onnx import read_spec, spans, text_in, write_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.mdxnet.note import Note
    from octet.separation.models.onnx import Span
    from octet.separation.models.spec import ModelSpec, StftSpec

VERSION = 1
"""Part of a copy's name in the cache: raise it when something else is put around the network."""

SILENT_BINS = 3
"""The lowest frequencies, up to 20 Hz, are hidden from the network: UVR does so for all."""

MAX_FIELDS = 200_000
"""Operations and constants of a network: these have some hundreds."""

# Field numbers of ModelProto, GraphProto, ValueInfoProto and TensorProto in onnx.proto3.
_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_TENSOR_NAME, _TENSOR_EXTERNAL = 8, 13
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIMENSION, _SIZE = 1, 2, 1, 2, 1, 1

_BLOCK = 1 << 20
_SPEC, _SPEC_OUT = "octet/spec", "octet/spec_out"
_HINT = "An MDX-Net file takes one spectrum (b, 4, bins, frames), and gives one."


@dataclass(frozen=True)
class _Port:
    """An input or output of a graph."""

    name: str
    shape: tuple[int | None, ...]
    span: Span


@dataclass(frozen=True)
class _Network:
    """What has to be known of a file to put something around its network."""

    model: list[Span]
    fields: list[Span]
    given: _Port
    estimate: _Port


def obtain(
    path: Path, note: Note, cache: Cache, sha256: str, report: Progress
) -> tuple[Path, ModelSpec]:
    """The model made of an MDX-Net file and its note: out of the cache, or made and kept there.

    Args:
        path: the file.
        note: what lies beside it.
        cache: where the copy is kept.
        sha256: of the file.
        report: told of the progress.

    Raises:
        ModelDamagedError: it is no such file, or its note is another's.
        ModelUnavailableError: the cache cannot be written.
    """
    heard = (note.n_fft, note.hop, note.bins, note.frames, note.stem, note.compensation)
    key = hashlib.sha256(repr(heard).encode()).hexdigest()[:16]
    target = cache.converted(f"{sha256}-{key}-mdxnet-v{VERSION}")
    found = _cached(target)
    if found is None:
        target.unlink(missing_ok=True)  # damaged, if it is there
        with cache.writing(target, report) as temporary:
            if temporary is not None:
                write_spec(temporary, graft(path, note, temporary))
        found = _cached(target)
    if found is None:
        raise ModelDamagedError(f"{target} was damaged while it was made", "Try again.")
    named = replace(found, name=note.name or path.stem, licence=note.licence, origin=note.source)
    return target, named


def _cached(path: Path) -> ModelSpec | None:
    with contextlib.suppress(ModelDamagedError):
        return read_spec(path) if path.exists() else None
    return None


def graft(path: Path, note: Note, target: Path) -> ModelSpec:
    """Writes the copy, still without its description, which is returned.

    Raises:
        ModelDamagedError: it is no such file, or its note is another's.
    """
    with path.open("rb") as file:
        try:
            network = _Reader(file).network()
        except (ValueError, EOFError) as error:
            raise ModelDamagedError(
                f"{path.name} is not a whole ONNX file ({error})", "Fetch it again."
            ) from error
        _check_shapes(path.name, network)
        bins, frames = network.given.shape[2:]
        spec = note.describe((bins, frames), path.stem)
        assert spec.stft is not None  # noqa: S101  # the description of a spectral network
        shape = (spec.stft.bins, spec.segment // spec.stft.hop + 1)
        pieces = list(_pieces(network, _Around(network, note, spec.stft, shape)))
        with target.open("wb") as copy:
            for span in network.model:
                if span.number != _GRAPH:
                    _copy(file, span.first, span.end, copy)
            size = sum(
                len(one) if isinstance(one, bytes) else one.end - one.first for one in pieces
            )
            copy.write(graph.tag(_GRAPH, graph.BYTES) + graph.varint(size))
            for one in pieces:
                if isinstance(one, bytes):
                    copy.write(one)
                else:
                    _copy(file, one.first, one.end, copy)
    return spec


class _Around:
    """What is put around a network, as fields of its graph."""

    def __init__(
        self, network: _Network, note: Note, stft: StftSpec, shape: tuple[int, int]
    ) -> None:
        self._instrumental = note.stem == "instrumental"
        self._given, self._estimate = network.given.name, network.estimate.name
        self._shape = shape
        scale = np.sqrt(stft.n_fft)
        shown = np.ones((1, 1, shape[0], 1), np.float32)
        shown[:, :, :SILENT_BINS] = 0
        self._constants: dict[str, np.ndarray] = {
            "octet/shown": np.asarray(shown * scale, np.float32),
            "octet/heard": shown,
            "octet/gain": np.array([note.compensation / scale], np.float32),
            "octet/shape": np.array([-1, 1, 4, *shape], np.int64),
        }

    def before(self) -> bytes:
        """The operation in front."""
        return graph.field(_NODE, graph.node("Mul", [_SPEC, "octet/shown"], self._given, {}))

    def after(self) -> Iterator[bytes]:
        """The operations behind, in their order."""
        stem = "octet/stem"
        yield graph.field(_NODE, graph.node("Mul", [self._estimate, "octet/gain"], stem, {}))
        if self._instrumental:
            # What the network did not see is no voice either.
            taken, stem, estimate = "octet/seen", "octet/rest", stem
            yield graph.field(_NODE, graph.node("Mul", [_SPEC, "octet/heard"], taken, {}))
            yield graph.field(_NODE, graph.node("Sub", [taken, estimate], stem, {}))
        yield graph.field(_NODE, graph.node("Reshape", [stem, "octet/shape"], _SPEC_OUT, {}))

    def rest(self) -> Iterator[bytes]:
        """The constants, the input and the output."""
        for name, array in self._constants.items():
            yield graph.field(_INITIALIZER, graph.tensor(name, array))
        yield graph.field(_INPUT, graph.port(_SPEC, (1, 4, *self._shape)))
        yield graph.field(_OUTPUT, graph.port(_SPEC_OUT, (1, 1, 4, *self._shape)))


def _pieces(network: _Network, around: _Around) -> Iterator[bytes | Span]:
    """The new graph's fields: bytes, or a part of the file. Operations go in order."""
    replaced = (network.given.span, network.estimate.span)
    yield around.before()
    yield from (span for span in network.fields if span not in replaced)
    yield from around.after()
    yield from around.rest()


def _copy(file: BinaryIO, start: int, end: int, copy: BinaryIO) -> None:
    file.seek(start)
    while start < end:
        block = file.read(min(end - start, _BLOCK))
        copy.write(block)
        start += len(block)


class _Reader:
    """The parts of an ONNX file, of which there may be no more than MAX_FIELDS in all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_FIELDS

    def network(self) -> _Network:
        """Where the parts lie that matter.

        Raises:
            ValueError, EOFError: it is no whole ONNX file, or no network with one input and
                one output.
        """
        model = self._fields()
        graphs = [span for span in model if span.number == _GRAPH]
        if len(graphs) != 1:
            raise ValueError("it holds no network")
        fields = self._fields(graphs[0])
        constants = {self._constant(span) for span in fields if span.number == _INITIALIZER}
        inputs, outputs = (
            [self._port(span) for span in fields if span.number == number]
            for number in (_INPUT, _OUTPUT)
        )
        # Files of early versions list their constants among the inputs.
        inputs = [one for one in inputs if one.name not in constants]
        if (len(inputs), len(outputs)) != (1, 1):
            raise ValueError(f"it takes {len(inputs)} arrays and gives {len(outputs)}")
        return _Network(model, fields, inputs[0], outputs[0])

    def _fields(self, whole: Span | None = None) -> list[Span]:
        found = []
        for span in spans(self._file, *((whole.start, whole.end) if whole else ())):
            found.append(span)
            self._left -= 1
            if self._left < 0:
                raise ValueError("it has more parts than any network")
        return found

    def _constant(self, whole: Span) -> str:
        fields = self._fields(whole)
        if any(span.number == _TENSOR_EXTERNAL for span in fields):
            raise ValueError("its weights lie in another file")
        return self._text(fields, _TENSOR_NAME)

    def _port(self, whole: Span) -> _Port:
        parts = [whole]
        for number in (_TYPE, _TENSOR_TYPE, _SHAPE, _DIMENSION):
            parts = [one for part in parts for one in self._fields(part) if one.number == number]
        name = self._text(self._fields(whole), _NAME)
        return _Port(name, tuple(self._size(part) for part in parts), whole)

    def _size(self, dimension: Span) -> int | None:
        fields = self._fields(dimension)
        known = len(fields) == 1 and fields[0].number == _SIZE
        return fields[0].value or None if known else None

    def _text(self, fields: list[Span], number: int) -> str:
        found = [span for span in fields if span.number == number]
        return text_in(self._file, found[-1]) if found else ""


def _check_shapes(name: str, network: _Network) -> None:
    for what, port in (("takes", network.given), ("gives", network.estimate)):
        batch, channels = (*port.shape, None, None)[:2]
        if len(port.shape) != 4 or batch not in (1, None) or channels not in (4, None):
            raise ModelDamagedError(f"the network of {name} {what} {port.shape}", _HINT)
