"""ONNX models from elsewhere, without Octet's description: waveform in, waveforms out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError
from octet.separation.models.spec import METADATA_KEY, ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = ("drums", "bass", "other", "vocals")
SAMPLERATE = 44_100
SECONDS = 10

_HINT = (
    "Without a description, a model takes (1, 2, n) and gives (1, 4, 2, n): drums, bass, other, "
    f"vocals at {SAMPLERATE} Hz. For anything else, state name, sources, samplerate, segment and "
    f"kind as JSON in the ONNX metadata property `{METADATA_KEY}` (octet.separation.models.spec)."
)


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
