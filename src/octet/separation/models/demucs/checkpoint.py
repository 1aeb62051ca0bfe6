"""Checkpoints of Demucs: from a file to a network, running nobody's code but Demucs' own.

Demucs' own loader imports and calls whatever class a file names. Here the class must be one
of Demucs' three networks, and its arguments plain data, before anything is imported.

A `.th` file is a pickle. Even a trusted one is read by PyTorch's restricted unpickler, which
knows these three networks, fractions, and diffq's quantisers; there is no way here to a full
unpickling, because what it would be needed for exists as safetensors too.
"""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError, UntrustedModelError
from octet.separation.models.spec import check_sources

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")
QUANTIZERS = ("diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer")

MAX_HEADER = 16 * 1024**2
INSTALL = "Install the extra: pip install 'octet-stems[demucs]'"

# Bounds within which every network of Demucs lies, so that a hostile file cannot make the
# constructor itself loop or allocate without end.
_BOUNDS: dict[str, int] = {
    "depth": 10,
    "dconv_depth": 8,
    "t_layers": 32,
    "lstm_layers": 8,
    "growth": 4,
}
_MAX_NUMBER = 100_000
_MAX_PARAMETERS = 10**9


def load_network(path: Path, *, trust_checkpoint: bool = False) -> nn.Module:
    """Loads a checkpoint as a PyTorch module on the CPU, in evaluation mode, float32.

    Args:
        path: a `.safetensors` file as on Demucs' hub, or a `.th` file.
        trust_checkpoint: must be True for `.th`.

    Raises:
        UntrustedModelError: a `.th` without trust, or a file that names a class other than
            Demucs' networks.
        ModelDamagedError: the file is not such a checkpoint.
        ModelUnavailableError: PyTorch, Demucs or diffq is not installed.
    """
    if path.suffix == ".th":
        if not trust_checkpoint:
            raise UntrustedModelError(
                f"{path.name} is a pickle, which can run code when it is loaded",
                "Use a .safetensors file, or, if you know who made it, --trust-checkpoint "
                "(OCTET_TRUST_CHECKPOINT=true).",
            )
        _require_packages("torch", "demucs")
        return _build(path.name, *_read_pickle(path))
    klass, args, kwargs, structure = _read_description(path)
    _require_packages("torch", "demucs")
    return _build(path.name, klass, args, kwargs, _read_tensors(path, structure))


def _require_packages(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelUnavailableError(
                f"loading this checkpoint of Demucs needs the package {name}", INSTALL
            ) from error


def _read_description(path: Path) -> tuple[str, list[Any], dict[str, Any], Any]:
    """The class, its arguments and the state's structure, from a safetensors header."""
    metadata = _read_header(path).get("__metadata__", {})
    try:
        klass = metadata["klass"]
        args, kwargs = _plain(json.loads(metadata["args"])), _plain(json.loads(metadata["kwargs"]))
        structure = json.loads(metadata["structure"]) if "structure" in metadata else None
    except (KeyError, TypeError, ValueError, RecursionError, ZeroDivisionError) as error:
        raise ModelDamagedError(
            f"{path.name} does not say which of Demucs' networks it belongs to",
            "Octet loads safetensors files as on Demucs' hub (klass, args, kwargs).",
        ) from error
    _check_class(path.name, klass, NETWORKS)
    return klass, args, kwargs, structure


def _check_class(name: str, klass: object, known: tuple[str, ...]) -> None:
    if klass not in known:
        raise UntrustedModelError(
            f"{name} asks for the class {str(klass)[:100]!r}, which is none of {', '.join(known)}",
            "Loading it could run anything. Use a checkpoint of Demucs.",
        )


def _read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file: 8 bytes of its length, then the object."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= MAX_HEADER:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(file.read(size))
        if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamagedError(
            f"{path.name} is not a safetensors file ({error})", "Fetch it again."
        ) from error
    return header


def _plain(value: Any) -> Any:
    """JSON with Demucs' encoding of fractions undone."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _read_tensors(path: Path, structure: Any) -> Any:
    """The state: a dictionary of tensors, or what `structure` says (diffq's packed states)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        return tensors if structure is None else _nested(path.name, structure, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelDamagedError(
            f"{path.name} is not a whole safetensors file ({error})", "Fetch it again."
        ) from error


def _nested(name: str, node: Any, tensors: dict[str, Any]) -> Any:
    """Rebuilds a nested state from its description in JSON, as Demucs' hub files have it."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "_tensor":
        return tensors[value]
    if kind == "_dict":
        return {key: _nested(name, item, tensors) for key, item in value}
    if kind in ("_list", "_tuple"):
        items = [_nested(name, item, tensors) for item in value]
        return tuple(items) if kind == "_tuple" else items
    if kind == "_class":
        return _quantizer(name, value)
    raise ValueError(f"unknown part {kind!r}")


def _quantizer(name: str, klass: object) -> Any:
    _check_class(name, klass, QUANTIZERS)
    _require_packages("diffq")
    return _import(str(klass))


def _read_pickle(path: Path) -> tuple[str, list[Any], dict[str, Any], Any]:
    import torch

    try:
        with torch.serialization.safe_globals(_safe_globals()):
            package = torch.load(path, map_location="cpu", weights_only=True)
        klass = package["klass"]
        described = f"{klass.__module__}.{klass.__qualname__}"
        args, kwargs, state = list(package["args"]), dict(package["kwargs"]), package["state"]
    except (OSError, EOFError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise ModelDamagedError(f"{path.name} is not a checkpoint of Demucs ({error})") from error
    except Exception as error:
        # The unpickler's own error, pickle's, zipfile's: all say that it did not get through.
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise UntrustedModelError(
            f"{path.name} holds more than a checkpoint of Demucs, or is damaged ({reason})",
            "Octet never runs code out of a checkpoint. Use the model's .safetensors file.",
        ) from error
    _check_class(path.name, described, NETWORKS)
    return described, args, kwargs, state


def _safe_globals() -> list[Any]:
    """What a checkpoint of Demucs may name: its networks, fractions, diffq's quantisers."""
    known: list[Any] = [_import(name) for name in NETWORKS]
    known += [(_import("demucs.hdemucs.HDemucs"), "demucs.wdemucs.WDemucs"), Fraction]
    try:
        known += [_import(name) for name in QUANTIZERS]
    except ImportError:
        # A quantised checkpoint fails below with the hint to install diffq.
        return known
    return known


def _import(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _build(name: str, klass: str, args: list[Any], kwargs: dict[str, Any], state: Any) -> nn.Module:
    import torch

    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(state, dict):
        raise ModelDamagedError(f"{name} is not a checkpoint of Demucs")
    network_class = _import(klass)
    # Demucs drops arguments that it no longer knows; so do we.
    known = inspect.signature(network_class).parameters
    kwargs = {key: value for key, value in kwargs.items() if key in known}
    _check_arguments(name, network_class, args, kwargs)
    quantized = bool(state.get("__quantized"))
    if quantized:
        _require_packages("diffq")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # initialisers warn of tensors without memory
            with torch.device("meta"):
                _check_size(name, network_class(*args, **kwargs), state, quantized)
            network: nn.Module = network_class(*args, **kwargs)
            _fill(network, state, quantized)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError) as error:
        raise ModelDamagedError(
            f"the weights in {name} do not fit the network that it names", str(error)[:200]
        ) from error
    return network.eval()


def _fill(network: nn.Module, state: dict[str, Any], quantized: bool) -> None:
    if quantized:
        from diffq import restore_quantized_state

        restore_quantized_state(network, state)
    else:
        network.load_state_dict(state)


def _check_size(name: str, shape: nn.Module, state: dict[str, Any], quantized: bool) -> None:
    """Compares the sizes before memory is taken; `shape` is the network without any."""
    wanted = sum(parameter.numel() for parameter in shape.parameters())
    given = sum(tensor.numel() for tensor in state.values()) if not quantized else wanted
    if wanted > _MAX_PARAMETERS or wanted > given:
        raise ModelDamagedError(
            f"{name} holds {given} numbers for a network of {wanted} parameters"
        )


def _check_arguments(
    name: str, network_class: Any, args: list[Any], kwargs: dict[str, Any]
) -> None:
    try:
        given = inspect.signature(network_class).bind(*args, **kwargs)
    except TypeError as error:
        raise ModelDamagedError(f"{name} has arguments that its network does not take") from error
    given.apply_defaults()
    arguments: dict[str, Any] = given.arguments
    for key, value in arguments.items():
        bound = _BOUNDS.get(key, _MAX_NUMBER)
        # Written so that it refuses what is not a number at all (NaN).
        if isinstance(value, (int, float, Fraction)) and not -bound <= value <= bound:
            raise ModelDamagedError(f"{name} asks for a network with {key} beyond {bound}")
    check_sources(arguments["sources"])
    if arguments["audio_channels"] != 2:
        raise ModelDamagedError(f"{name} is not a network for two channels")
