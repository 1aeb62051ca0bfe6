from __future__ import annotations

import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

torch: Any = pytest.importorskip("torch", reason="needs the extra `models`: pip install torch")

from octet.errors import ModelDamagedError, UntrustedModelError  # noqa: E402  # needs torch
from octet.separation.models.frameworks.weights import filled, load_state  # noqa: E402
from octet.separation.models.spec import ModelSpec  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.frameworks

SPEC = ModelSpec("a", ("vocals",), 44_100, 1000, "waveform")


def _build() -> tuple[Any, ModelSpec]:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)), SPEC


def _state(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    return dict(_build()[0].state_dict())


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def test_safetensors_load_without_asking(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(_state(), tmp_path / "a.safetensors")

    assert load_state(tmp_path / "a.safetensors", trusted=False).keys() == _state().keys()


@pytest.mark.parametrize("suffix", ["ckpt", "th", "pt"])
def test_a_pickle_needs_trust(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    torch.save(_state(), path)

    with pytest.raises(UntrustedModelError, match="OCTET_TRUST_CHECKPOINT"):
        load_state(path, trusted=False)
    assert _equal(load_state(path, trusted=True), _state())


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"best_state": state, "state": _state(9), "optimizer": {"lr": [1]}},
        lambda state: {"state": state},
        lambda state: {"model_state_dict": {f"module.{key}": w for key, w in state.items()}},
        lambda state: {"state_dict": {f"model.{key}": w for key, w in state.items()}},
        lambda state: {f"module._orig_mod.{key}": w for key, w in state.items()},
    ],
)
def test_the_weights_are_found_in_what_surrounds_them(tmp_path: Path, wrapped: Any) -> None:
    torch.save(wrapped(_state()), tmp_path / "a.ckpt")

    assert _equal(load_state(tmp_path / "a.ckpt", trusted=True), _state())


class _Harm:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_checkpoint_that_runs_code_is_refused_in_one_line_and_runs_nothing(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    torch.save({"state_dict": _state(), "more": _Harm(trace)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(_Harm(trace)))

    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(UntrustedModelError) as refused:
            load_state(tmp_path / name, trusted=True)
        assert "\n" not in str(refused.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"a": 1}, {"a": "text"}, {1: torch.ones(2)}, {"state_dict": {"a": []}}]
)
def test_what_holds_no_weights_by_name_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.ckpt")

    with pytest.raises(ModelDamagedError, match="no weights by name"):
        load_state(tmp_path / "a.ckpt", trusted=True)


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt"])
@pytest.mark.parametrize("content", [b"", b"<html>", bytes(100), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises((ModelDamagedError, UntrustedModelError)):
        load_state(tmp_path / name, trusted=True)


def test_an_archive_that_would_grow_is_refused_before_it_does(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10_000_000))

    with pytest.raises(ModelDamagedError, match="grow"):
        load_state(tmp_path / "a.ckpt", trusted=True)


def test_a_network_is_filled_with_weights_of_any_precision() -> None:
    half = {key: w.half() for key, w in _state().items()}
    network: Any
    network, spec = filled(_build, half, "a.ckpt")

    assert spec is SPEC
    assert not network.training
    assert network[0].weight.dtype == torch.float32
    assert torch.equal(network[0].weight, _state()["0.weight"].half().float())


def test_names_shapes_and_values_that_do_not_fit_are_told_in_one_line() -> None:
    state = _state()
    first = state["0.weight"]
    wrong = [
        ({key: w for key, w in state.items() if key != "0.bias"}, "1 are missing .0.bias."),
        (state | {"\x1b[31mx": first}, r"1 are unknown .\\x1b"),
        (state | {"0.weight": first.T}, r"\(3, 2\), not \(2, 3\)"),
        (state | {"0.weight": first * float("nan")}, "no number"),
    ]
    for given, told in wrong:
        with pytest.raises(ModelDamagedError, match=told) as refused:
            filled(_build, given, "a.ckpt")
        assert "\n" not in str(refused.value)
        assert "\x1b" not in str(refused.value)


def test_a_network_beyond_all_size_takes_no_memory() -> None:
    def build() -> tuple[Any, ModelSpec]:
        return torch.nn.Linear(10**6, 10**6), SPEC

    with pytest.raises(ModelDamagedError, match="larger than any"):
        filled(build, {}, "a.ckpt")
