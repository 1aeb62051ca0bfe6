from __future__ import annotations

import json
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="needs the extra `demucs`: pip install torch")

import torch
from safetensors.torch import save_file

from octet.errors import ModelDamagedError, UntrustedModelError
from octet.separation.models.demucs.checkpoint import load_network
from tests.separation.models.demucs.files import (
    SOURCES,
    tiny_demucs,
    tiny_hdemucs,
    tiny_htdemucs,
    write_pickle,
    write_safetensors,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.demucs


def _same(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("make", [tiny_htdemucs, tiny_hdemucs, tiny_demucs])
def test_the_networks_of_demucs_load_from_safetensors(tmp_path: Path, make: Any) -> None:
    network = make()

    loaded: Any = load_network(write_safetensors(network, tmp_path / "a.safetensors"))

    assert type(loaded) is type(network)
    assert not loaded.training
    assert loaded.segment == network.segment
    assert _same(loaded, network)


def test_arguments_that_demucs_no_longer_knows_are_dropped(tmp_path: Path) -> None:
    kwargs = json.dumps({"channels": 4, "dconv_depth": 1, "forgotten": True})
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", kwargs=kwargs)

    assert _same(load_network(path), tiny_hdemucs())


@pytest.mark.parametrize(
    "klass",
    ["os.system", "demucs.states.load_model", "demucs.htdemucs.HTDemucs.__init__", "", "Demucs"],
)
def test_no_class_but_demucs_own_is_looked_up(tmp_path: Path, klass: str) -> None:
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", klass=klass)

    with pytest.raises(UntrustedModelError):
        load_network(path, trust_checkpoint=True)


def test_a_module_named_in_the_file_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "surprise.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    structure = json.dumps({"_dict": [["__quantized", True], ["m", {"_class": "surprise.X"}]]})

    for changes in ({"klass": "surprise.X"}, {"structure": structure}):
        path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", **changes)
        with pytest.raises(UntrustedModelError, match=r"surprise\.X"):
            load_network(path)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"channels": 10**9},
        {"depth": 1000},
        {"growth": 1000},
        {"segment": {"_type": "fraction", "numerator": 1, "denominator": 0}},
        {"sources": SOURCES},
        {"channels": float("nan")},
        {"channels": "many"},
        {"audio_channels": 1},
        ["channels"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, kwargs: object) -> None:
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", kwargs=json.dumps(kwargs))

    with pytest.raises(ModelDamagedError):
        load_network(path)


@pytest.mark.parametrize("sources", [[], "drums", [1], ["a/b"], ["x"] * 99, None])
def test_sources_that_are_no_names_are_refused(tmp_path: Path, sources: object) -> None:
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", args=json.dumps([sources]))

    with pytest.raises(ModelDamagedError):
        load_network(path)


def test_a_network_larger_than_its_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    kwargs = json.dumps({"channels": 1024})  # 150 GB
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors", kwargs=kwargs)

    with pytest.raises(ModelDamagedError, match="parameters"):
        load_network(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    network = tiny_hdemucs()
    metadata = {"klass": "demucs.hdemucs.HDemucs", "args": json.dumps([SOURCES])}
    metadata["kwargs"] = json.dumps(network.described)
    save_file({"weight": torch.zeros(3_000_000)}, path, metadata=metadata)

    with pytest.raises(ModelDamagedError):
        load_network(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}", b"\x02" + b"\0" * 7 + b"[]", b"<html>" * 9],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)

    with pytest.raises(ModelDamagedError):
        load_network(path)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = write_safetensors(tiny_hdemucs(), tmp_path / "a.safetensors")
    os.truncate(path, path.stat().st_size - 1000)

    with pytest.raises(ModelDamagedError):
        load_network(path)


def test_a_pickle_needs_trust(tmp_path: Path) -> None:
    path = write_pickle(tiny_htdemucs(), tmp_path / "a.th")

    with pytest.raises(UntrustedModelError, match="--trust-checkpoint"):
        load_network(path)
    assert _same(load_network(path, trust_checkpoint=True), tiny_htdemucs())


class _Harmful:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_even_a_trusted_pickle_runs_nothing(tmp_path: Path) -> None:
    harmful = _Harmful(f"touch '{tmp_path}/ran'")
    path = write_pickle(tiny_hdemucs(), tmp_path / "a.th", training_args=harmful)

    with pytest.raises(UntrustedModelError, match="safetensors"):
        load_network(path, trust_checkpoint=True)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("package", [{}, {"klass": OrderedDict}, [1, 2], {"klass": 1}])
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, package: Any) -> None:
    torch.save(package, tmp_path / "a.th")

    with pytest.raises((ModelDamagedError, UntrustedModelError)):
        load_network(tmp_path / "a.th", trust_checkpoint=True)


def test_garbage_is_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.th").write_bytes(b"garbage" * 100)

    with pytest.raises((ModelDamagedError, UntrustedModelError)):
        load_network(tmp_path / "a.th", trust_checkpoint=True)


def test_a_quantised_checkpoint_loads_as_on_the_hub(tmp_path: Path) -> None:
    # Given a state packed by diffq, written as Demucs' hub files hold it (as mdx_extra_q).
    diffq = pytest.importorskip("diffq", reason="needs the package diffq")
    network = tiny_hdemucs()
    quantizer = diffq.UniformQuantizer(network, bits=8, min_size=0.01)
    state = quantizer.get_quantized_state(packed=False)
    state["__quantized"] = True
    expected = tiny_hdemucs()
    diffq.restore_quantized_state(expected, state)
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_flat(state, "state", tensors))
    metadata = {"klass": "demucs.hdemucs.HDemucs", "args": json.dumps([SOURCES])}
    metadata |= {"kwargs": json.dumps(network.described), "structure": structure}
    save_file(tensors, tmp_path / "a.safetensors", metadata=metadata)

    loaded = load_network(tmp_path / "a.safetensors")

    assert _same(loaded, expected)
    assert not _same(loaded, tiny_hdemucs())


def _flat(value: Any, at: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[at] = value.detach().clone().contiguous()
        return {"_tensor": at}
    if isinstance(value, dict):
        return {
            "_dict": [[key, _flat(item, f"{at}.{key}", tensors)] for key, item in value.items()]
        }
    if isinstance(value, list | tuple):
        kind = "_list" if isinstance(value, list) else "_tuple"
        return {kind: [_flat(item, f"{at}.{index}", tensors) for index, item in enumerate(value)]}
    if isinstance(value, type):
        return {"_class": f"{value.__module__}.{value.__qualname__}"}
    return value
