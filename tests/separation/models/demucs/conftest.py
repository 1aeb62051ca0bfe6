"""Checkpoints of Demucs, each written and converted once for all processes of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from octet.separation.models.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path


class Checkpoints:
    """Files of networks, and the cache in which what is converted of them stays.

    A conversion is traced in Python, which takes most of the time of these tests.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cache = Cache(folder / "cache")

    def write(self, name: str, network: Any) -> Path:
        """The checkpoint of this name: that of the network, unless another process wrote it."""
        from tests.separation.models.demucs.files import write_safetensors

        path = self._folder / f"{name}.safetensors"
        with self.cache.writing(path) as temporary:
            if temporary is not None:
                write_safetensors(network, temporary)
        return path


@pytest.fixture(scope="session")
def checkpoints(shared_folder: Path) -> Checkpoints:
    """Where they lie."""
    return Checkpoints(shared_folder / "demucs")
