from __future__ import annotations

import sys
from typing import Any

import pytest

from octet.errors import ModelError
from octet.separation.models.frameworks.architectures import ARCHITECTURES, architecture_of
from octet.separation.models.frameworks.config import Config


def _config(**model: Any) -> Config:
    return Config.read(
        "a.yaml",
        {
            "audio": {"chunk_size": 1000},
            "model": model,
            "training": {"instruments": ["vocals"]},
        },
    )


def test_an_architecture_is_told_by_an_argument_that_only_it_has() -> None:
    assert architecture_of(_config(band_SR=[1])).name == "SCNet"
    assert len({one.mark for one in ARCHITECTURES}) == len(ARCHITECTURES)


def test_another_one_is_called_unknown_and_loads_nothing() -> None:
    before = "torch" in sys.modules

    with pytest.raises(ModelError, match="does not know"):
        architecture_of(_config(num_subbands=4))

    assert ("torch" in sys.modules) == before
