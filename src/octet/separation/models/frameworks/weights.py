"""Weights as the training frameworks save them: tensors by name, and nothing else of the file.

Safetensors hold nothing else. A `.ckpt`, `.th` or `.pt` is a pickle: even a trusted one is read by
PyTorch's restricted unpickler, which makes tensors, numbers, text and lists of these.
"""

from __future__ import annotations

import importlib
import zipfile
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError, UntrustedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from torch import nn

    from octet.separation.models.spec import ModelSpec

INSTALL = "Install the extra: pip install 'octet-stems[models]'"

MAX_PARAMETERS = 10**9
_MAX_DEPTH = 4
_NESTED = ("state_dict", "best_state", "model_state_dict", "ema_state_dict", "model", "state")
"""Where a checkpoint keeps the weights that are meant for use, the best place first."""
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What wrappers put before every name."""
_SHOWN = 3


def require_torch() -> None:
    """Makes sure that PyTorch is here.

    Raises:
        ModelUnavailableError: it is not.
    """
    for name in ("torch", "safetensors"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelUnavailableError(
                f"loading this checkpoint needs the package {name}", INSTALL
            ) from error


def load_state(path: Path, *, trusted: bool) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by their names, on the CPU, as they are stored.

    Args:
        path: a file of safetensors, or a pickle of PyTorch's.
        trusted: must be True for a pickle.

    Raises:
        UntrustedModelError: a pickle without trust, or with more in it than tensors.
        ModelDamagedError: the file is no checkpoint.
        ModelUnavailableError: PyTorch is not installed.
    """
    if path.suffix != ".safetensors" and not trusted:
        raise UntrustedModelError(
            f"{path.name} is a pickle, which can run code when it is loaded",
            "Use a .safetensors file, or, if you know who made it, --trust-checkpoint "
            "(OCTET_TRUST_CHECKPOINT=true).",
        )
    require_torch()
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return _unwrapped(path.name, content)


def filled(
    build: Callable[[], tuple[nn.Module, ModelSpec]], state: Mapping[str, torch.Tensor], name: str
) -> tuple[nn.Module, ModelSpec]:
    """A network with these weights, in evaluation mode, float32, and its description.

    Args:
        build: makes the network; called twice, at first where tensors take no memory.
        state: the weights.
        name: of the file, for people.

    Raises:
        ModelDamagedError: names or shapes are not the network's, or a weight is no number.
    """
    import torch

    with torch.device("meta"):
        wanted = build()[0].state_dict()
    _compare(name, wanted, state)
    for key, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelDamagedError(f"{name} holds what is no number, in {_shown([key])}")
    network, spec = build()
    network.load_state_dict(dict(state))
    return network.eval().float(), spec


def _compare(name: str, wanted: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Holds names and shapes against the network's, before memory is taken."""
    if sum(tensor.numel() for tensor in wanted.values()) > MAX_PARAMETERS:
        raise ModelDamagedError(f"{name} asks for a network larger than any")
    missing = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in wanted]
    if missing or unknown:
        raise ModelDamagedError(
            f"the weights in {name} are not the network's that its YAML describes: "
            f"{len(missing)} are missing ({_shown(missing)}), "
            f"{len(unknown)} are unknown ({_shown(unknown)})",
            "Use the YAML file that was published with the checkpoint.",
        )
    other = [key for key in wanted if wanted[key].shape != state[key].shape]
    if other:
        shapes = f"{tuple(state[other[0]].shape)}, not {tuple(wanted[other[0]].shape)}"
        raise ModelDamagedError(
            f"the weights in {name} are not the network's that its YAML describes: {len(other)} "
            f"have another shape ({_shown(other)}; the first has {shapes})",
            "Use the YAML file that was published with the checkpoint.",
        )


def _shown(names: list[str]) -> str:
    """Some of the names, in letters that any terminal shows as they are."""
    shown = ", ".join(ascii(name[:80])[1:-1] for name in names[:_SHOWN])
    return shown + (", ..." if len(names) > _SHOWN else "") if names else "none"


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamagedError(
            f"{path.name} is not a whole safetensors file ({_line(error)})", "Fetch it again."
        ) from error


def _read_pickle(path: Path) -> Any:
    import torch

    _check_inflation(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError) as error:
        raise ModelDamagedError(f"{path.name} cannot be read ({_line(error)})") from error
    except Exception as error:
        # The unpickler's own error, pickle's, zipfile's: all say that it did not get through.
        raise UntrustedModelError(
            f"{path.name} holds more than weights, or is damaged ({_line(error)})",
            "Octet never runs code out of a checkpoint. Save its weights alone, as safetensors.",
        ) from error


def _check_inflation(path: Path) -> None:
    """PyTorch's files are zip archives that are not compressed: one that grows is none of them."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ModelDamagedError(f"{path.name} is a damaged archive ({_line(error)})") from error
    if size > path.stat().st_size:
        raise ModelDamagedError(f"{path.name} is no checkpoint: it would grow to {size} bytes")


def _unwrapped(name: str, content: Any) -> dict[str, torch.Tensor]:
    """The weights out of what a checkpoint keeps beside them, without their wrappers' prefixes."""
    import torch

    for _ in range(_MAX_DEPTH):
        if not isinstance(content, dict):
            break
        inner = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not content:
        raise ModelDamagedError(f"{name} holds no weights by name")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ModelDamagedError(
                f"{name} holds no weights by name, but {_shown([str(key)])}, which is no tensor"
            )
        if value.layout != torch.strided or value.is_quantized:
            raise ModelDamagedError(f"{name} holds sparse or quantised weights")
    return _without_prefix(content)


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for _ in range(_MAX_DEPTH):
        prefix = next((one for one in _PREFIXES if all(key.startswith(one) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return ascii((lines[0] if lines else repr(error))[:200])[1:-1]
