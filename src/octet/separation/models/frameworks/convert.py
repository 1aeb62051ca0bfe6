"""A framework's network on this machine: its converted model out of the cache, or made once.

This module imports no PyTorch until something is to be loaded.
"""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.frameworks.architectures import architecture_of
from octet.separation.models.frameworks.weights import INSTALL, filled, load_state, require_torch
from octet.separation.models.onnx import read_spec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.frameworks.config import Config
    from octet.separation.models.spec import About, ModelSpec

VERSION = 1
"""Part of a converted model's name in the cache: raise it when the export changes."""


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights, and what is known of it.

    Attributes:
        path: the file.
        sha256: of it.
        config: the description beside it.
        about: name, licence and origin of the model.
        trusted: whether a pickle may be read.
    """

    path: Path
    sha256: str
    config: Config
    about: About
    trusted: bool


def cached(
    cache: Cache, sha256: str, config: Config, about: About
) -> tuple[Path, ModelSpec] | None:
    """The converted model of a checkpoint, if it is in the cache and whole.

    Raises:
        ModelError: the description is of no architecture that is known.
    """
    path = _path(cache, sha256, config)
    with contextlib.suppress(ModelDamagedError):
        spec = read_spec(path) if sha256 and path.exists() else None
        if spec is not None:
            # The same weights may be known by another name than when they were converted.
            named = replace(spec, name=about.name, licence=about.licence, origin=about.origin)
            return path, named
    return None


def convert(checkpoint: Checkpoint, cache: Cache, report: Progress) -> tuple[Path, ModelSpec]:
    """Converts a checkpoint and keeps the result in the cache, unless it is there.

    Two processes that convert the same checkpoint do it once: the second waits.

    Raises:
        UntrustedModelError, ModelDamagedError: see `load`.
        ModelUnavailableError: PyTorch is missing, or the cache cannot be written.
        ModelError: a network that is not known or cannot be converted.
    """
    known = checkpoint.sha256, checkpoint.config, checkpoint.about
    found = cached(cache, *known)
    if found:
        return found
    path = _path(cache, checkpoint.sha256, checkpoint.config)
    path.unlink(missing_ok=True)  # damaged, if it is there
    with cache.writing(path, report) as temporary:
        if temporary is not None:
            what = f"converting {checkpoint.path.name}"
            report(what, 0, 1)
            network, spec = load(checkpoint)
            complement = checkpoint.config.complement
            _exporter().export(network, spec, temporary, complement=complement)
            report(what, 1, 1)
    found = cached(cache, *known)
    if found is None:
        raise ModelDamagedError(f"{path} was damaged while it was made", "Try again.")
    return found


def load_whole(checkpoint: Checkpoint) -> tuple[nn.Module, ModelSpec]:
    """The network with the transforms around it, (b, 2, n) -> (b, S, 2, n), for PyTorch.

    Raises:
        As `load`.
    """
    network, spec = load(checkpoint)
    exporter = _exporter()
    core = exporter.Core(network, complement=checkpoint.config.complement)
    whole: nn.Module = exporter.Whole(core, spec).eval()
    return whole, spec


def load(checkpoint: Checkpoint) -> tuple[nn.Module, ModelSpec]:
    """The network between the STFT and its inverse, with its weights.

    Raises:
        UntrustedModelError: a pickle without trust, or with more in it than tensors.
        ModelDamagedError: the weights are not those of the network that is described.
        ModelUnavailableError: PyTorch is missing.
        ModelError: the network is not known.
    """
    architecture = architecture_of(checkpoint.config)
    state = load_state(checkpoint.path, trusted=checkpoint.trusted)
    build = partial(architecture.build, checkpoint.config, checkpoint.about)
    return filled(build, state, checkpoint.path.name)


def _exporter() -> Any:
    """The module octet.separation.models.frameworks.export, which needs PyTorch."""
    require_torch()
    try:
        return importlib.import_module("octet.separation.models.frameworks.export")
    except ImportError as error:
        raise ModelUnavailableError(
            f"converting a model needs the package {error.name}", INSTALL
        ) from error


def _path(cache: Cache, sha256: str, config: Config) -> Path:
    version = f"v{VERSION}.{architecture_of(config).version}"
    return cache.converted(f"{sha256}-{config.key}-{version}")
