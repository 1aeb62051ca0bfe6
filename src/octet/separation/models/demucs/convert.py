"""A checkpoint's converted model: out of the cache, or made once and kept there.

This module imports neither PyTorch nor Demucs until something is to be converted.
"""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.demucs.checkpoint import INSTALL, load_network
from octet.separation.models.onnx import read_spec

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.spec import About, ModelSpec

VERSION = 1
"""Part of a converted model's name in the cache: raise it when the export changes."""


def cached(cache: Cache, sha256: str, about: About) -> tuple[Path, ModelSpec] | None:
    """The converted model of the checkpoint with this SHA-256, if it is in the cache and whole."""
    path = _path(cache, sha256, about)
    with contextlib.suppress(ModelDamagedError):
        spec = read_spec(path) if sha256 and path.exists() else None
        if spec is not None:
            # The same weights may be known by another name than when they were converted.
            named = replace(spec, name=about.name, licence=about.licence, origin=about.origin)
            return path, named
    return None


def convert(
    checkpoint: Path,
    cache: Cache,
    sha256: str,
    about: About,
    *,
    trust_checkpoint: bool,
    report: Progress,
) -> tuple[Path, ModelSpec]:
    """Converts a checkpoint and keeps the result in the cache, unless it is there.

    Two processes that convert the same checkpoint do it once: the second waits.

    Raises:
        UntrustedModelError, ModelDamagedError: see `load_network`.
        ModelUnavailableError: PyTorch or Demucs is missing, or the cache cannot be written.
        ModelError: a variant that cannot be converted.
    """
    found = cached(cache, sha256, about)
    if found:
        return found
    path = _path(cache, sha256, about)
    path.unlink(missing_ok=True)  # damaged, if it is there
    with cache.writing(path, report) as temporary:
        if temporary is not None:
            what = f"converting {checkpoint.name}"
            report(what, 0, 1)
            network = load_network(checkpoint, trust_checkpoint=trust_checkpoint)
            exporter().export(network, exporter().describe(network, about), temporary)
            report(what, 1, 1)
    found = cached(cache, sha256, about)
    if found is None:
        raise ModelDamagedError(f"{path} was damaged while it was made", "Try again.")
    return found


def exporter() -> Any:
    """The module octet.separation.models.demucs.export, which needs PyTorch."""
    try:
        return importlib.import_module("octet.separation.models.demucs.export")
    except ImportError as error:
        raise ModelUnavailableError(
            f"converting a model needs the package {error.name}", INSTALL
        ) from error


def _path(cache: Cache, sha256: str, about: About) -> Path:
    suffix = "" if about.segment is None else f"-{about.segment:g}s"
    return cache.converted(f"{sha256}{suffix}-v{VERSION}")
