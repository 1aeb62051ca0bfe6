"""A checkpoint's converted model: out of the cache, or made once and kept there.

This module imports neither PyTorch nor Demucs until something is to be converted.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.demucs.checkpoint import load_network
from octet.separation.models.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from octet.separation.models.cache import Cache

VERSION = 1
"""Part of a converted model's name in the cache: raise it when the export changes."""


def cached(cache: Cache, sha256: str, segment: float | None) -> tuple[Path, ModelSpec] | None:
    """The converted model of a checkpoint, if it is in the cache and whole.

    Args:
        cache: where it would be.
        sha256: of the checkpoint.
        segment: seconds that a bag sets in place of the network's own.
    """
    path = _path(cache, sha256, segment)
    with contextlib.suppress(ModelDamagedError):
        if path.exists():
            return path, read_spec(path)
    return None


def convert(
    checkpoint: Path,
    cache: Cache,
    sha256: str,
    *,
    name: str,
    segment: float | None = None,
    licence: str = "",
    origin: str = "",
    trust_checkpoint: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Path, ModelSpec]:
    """Converts a checkpoint and keeps the result in the cache.

    Two processes that convert the same checkpoint do it once: the second waits.

    Raises:
        UntrustedModelError, ModelDamagedError: see `load_network`.
        ModelUnavailableError: PyTorch or Demucs is missing, or the cache cannot be written.
        ModelError: a variant that cannot be converted.
    """
    path = _path(cache, sha256, segment)
    found = cached(cache, sha256, segment)
    if found:
        return found
    path.unlink(missing_ok=True)  # damaged, if it is there
    report = on_progress or (lambda _what, _done, _total: None)
    with cache.writing(path) as temporary:
        if temporary is not None:
            what = f"converting {checkpoint.name}"
            report(what, 0, 1)
            network = load_network(checkpoint, trust_checkpoint=trust_checkpoint)
            spec = describe(network, name=name, segment=segment, licence=licence, origin=origin)
            _exporter().export(network, spec, temporary)
            report(what, 1, 1)
    return path, read_spec(path)


def describe(
    network: nn.Module, *, name: str, segment: float | None, licence: str, origin: str
) -> ModelSpec:
    """What a network takes and gives; see `octet.separation.models.demucs.export.describe`."""
    spec: ModelSpec = _exporter().describe(
        network, name, segment=segment, licence=licence, origin=origin
    )
    return spec


def _exporter() -> Any:
    """The module that needs PyTorch."""
    try:
        return importlib.import_module("octet.separation.models.demucs.export")
    except ImportError as error:
        raise ModelUnavailableError(
            f"converting a model needs the package {error.name}",
            "Install the extra: pip install 'octet-stems[demucs]'",
        ) from error


def _path(cache: Cache, sha256: str, segment: float | None) -> Path:
    suffix = "" if segment is None else f"-{segment:g}s"
    return cache.converted(f"{sha256}{suffix}-v{VERSION}")
