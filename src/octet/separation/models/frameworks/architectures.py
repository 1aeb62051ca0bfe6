"""The architectures of networks that are known, and how a file is told to be of one of them.

The frameworks name the architecture on their command line, not in the file: what tells is an
argument that no other has. A new one is a module with a function `build` and a line here. It
may import PyTorch: it is loaded when a network is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from octet.separation.models.frameworks.config import Config
    from octet.separation.models.spec import About, ModelSpec

_HINT = "Octet runs {}; Demucs' checkpoints; and ONNX files that say what they take and give."


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        name: for people.
        mark: the argument in the part `model` that only it has.
        module: which builds it.
        version: part of converted models' names in the cache: raise it when it computes otherwise.
    """

    name: str
    mark: str
    module: str
    version: int = 1

    def build(self, config: Config, about: About) -> tuple[nn.Module, ModelSpec]:
        """A network between the STFT and its inverse, with weights of no meaning.

        Its parameters have the names and shapes of the published checkpoints. It takes a
        spectrum in the scale and order of `octet.separation.stft`, float32 (b, 4, bins, frames),
        and gives (b, S, 4, bins, frames). Under `torch.device("meta")` it takes no memory.

        Args:
            config: what the file says.
            about: name, licence and origin of the model.

        Raises:
            ModelDamagedError, ModelError: the file asks for what cannot be.
        """
        built: tuple[nn.Module, ModelSpec] = importlib.import_module(self.module).build(
            config, about
        )
        return built


_ROFORMERS = "octet.separation.models.frameworks.roformers"
ARCHITECTURES = (
    Architecture("SCNet", "band_SR", "octet.separation.models.frameworks.scnet"),
    Architecture("BS-RoFormer", "freqs_per_bands", _ROFORMERS),
    Architecture("Mel-Band RoFormer", "num_bands", _ROFORMERS),
)


def architecture_of(config: Config) -> Architecture:
    """The architecture that a file describes.

    Raises:
        ModelError: none that is known.
    """
    for one in ARCHITECTURES:
        if one.mark in config.model:
            return one
    raise ModelError(
        f"{config.file} describes a network of the training frameworks that Octet does not know",
        _HINT.format(", ".join(one.name for one in ARCHITECTURES)),
    )
