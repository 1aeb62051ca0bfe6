from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import pytest

from octet.errors import DeviceError, ModelPolicyError, UnknownModelError
from octet.separation.model import ModelChoice, Passes
from octet.separation.models import cache
from octet.separation.models.loading import LoadedModel, load, parts_of, runtimes_of
from octet.separation.models.resolve import Member, ResolvedModel
from octet.separation.models.spec import ModelSpec
from octet.separation.runtimes.choice import Choice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEMS = ("drums", "bass", "other", "vocals")


def test_a_loaded_model_says_what_it_is_and_separates(song_of: Callable[..., Any]) -> None:
    model = load(ModelChoice("pocket", "cpu", "fp32"))
    song = song_of(50_000)

    stems = np.concatenate(list(model.stems(song)), axis=-1)

    assert stems.shape == (3, 2, 50_000)
    assert (model.identity.name, model.identity.licence) == ("pocket", "CC0-1.0")
    assert model.identity.commercial
    assert model.runtime == {"name": "openvino", "device": "cpu", "precision": "fp32"}
    assert model.description.startswith("pocket (bundled with Octet), openvino on cpu in fp32")


def test_pocket_in_bf16_is_near_fp32(song_of: Callable[..., Any]) -> None:
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bf16")
    song = song_of(400_000)
    exact, rounded = (
        np.concatenate(list(load(ModelChoice("pocket", "cpu", precision)).stems(song)), axis=-1)
        for precision in ("fp32", "bf16")
    )

    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)

    assert 0 < error < 10 ** (-35 / 20)


def test_a_device_is_required_unless_it_was_set_for_another_model() -> None:
    with pytest.raises(DeviceError, match="OpenVINO only"):
        load(ModelChoice("pocket", "cuda"))

    assert load(ModelChoice("pocket", "cuda", required=False)).runtime["device"] == "cpu"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownModelError):
        load(ModelChoice("pockets"))


def test_what_is_bundled_runs_in_openvino_alone(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()

    assert runtimes_of("pocket") == ("openvino",)
    assert runtimes_of(tmp_path) == ("openvino",)
    assert runtimes_of("htdemucs") == ("openvino", "torch")


@pytest.mark.demucs
def test_the_runtime_names_segments_that_were_computed_in_fp32(song_of: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")

    # Given a network with numbers that are too large for half precision,
    def large(mix: Any) -> Any:
        product = (mix[..., None] * 1000) @ torch.full((1, 1), 1000.0)
        return product[..., 0][:, None].repeat(1, 4, 1, 1) / 1e6

    spec = ModelSpec("large", STEMS, 44_100, 10_000, "waveform", normalize=False)
    member = Member(spec, (1.0,) * 4, "", None, large, "a test")
    choice = Choice("torch", "cpu", "fp16", "a processor", "a test")
    model = LoadedModel(ResolvedModel("large", (member,), "MIT", ""), choice)
    song = song_of(20_000)

    # when a song is separated, then it is whole, and the runtime says what happened.
    stems = np.concatenate(list(model.stems(song)), axis=-1)
    assert np.allclose(stems, song.audio, rtol=1e-3)
    assert model.runtime == {
        "name": "torch",
        "device": "cpu",
        "precision": "fp16",
        "fp32_segments": "3",
    }


def test_loading_shows_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a model whose loading takes longer than a heartbeat,
    monkeypatch.setattr(cache, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("octet.separation.models.loading.LoadedModel", lambda *_: time.sleep(0.5))
    told: list[tuple[str, int, int]] = []

    load(ModelChoice("pocket", "cpu"), lambda *at: told.append(at))

    assert len(told) >= 3
    assert set(told) == {("loading pocket", 0, 0)}


def test_two_names_make_a_cascade(song_of: Callable[..., Any], tmp_path: Path) -> None:
    # given two models by one name
    model = load(ModelChoice("pocket+pocket", "cpu", "fp32"))
    # then the manifest names both
    assert model.identity.name == "pocket+pocket"
    assert (model.identity.licence, model.identity.commercial) == ("CC0-1.0", True)
    # and its vocals are those of the first one alone, the rest being what the second one found
    song = song_of(60_000)
    alone = np.concatenate([*load(ModelChoice("pocket", "cpu", "fp32")).stems(song)], axis=-1)
    found = np.concatenate([*model.stems(song, Passes(scratch=tmp_path))], axis=-1)
    assert model.sources[0] == "vocals"
    vocals = load(ModelChoice("pocket", "cpu", "fp32")).sources.index("vocals")
    assert np.allclose(found[0], alone[vocals], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("nobody+pocket", UnknownModelError, "nobody"),
        ("pocket+nobody", UnknownModelError, "nobody"),
        ("a+b+c", UnknownModelError, "a\\+b\\+c"),
        ("pocket+htdemucs", ModelPolicyError, "htdemucs"),
    ],
)
def test_a_cascade_is_refused_before_a_part_of_it_is_loaded(
    name: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a machine on which no model may be loaded
    monkeypatch.setattr("octet.separation.models.loading.resolve", None)

    with pytest.raises(error, match=said):
        load(ModelChoice(name, policy="commercial"))


def test_a_path_with_a_plus_sign_is_one_model(tmp_path: Path) -> None:
    path = tmp_path / "a+b"
    path.mkdir()

    assert parts_of(path) == (str(path),)
    assert parts_of("a+b") == ("a", "b")
    # and in a cascade too, in either place
    assert parts_of(f"{path}+pocket") == (str(path), "pocket")
    assert parts_of(f"pocket+{path}") == ("pocket", str(path))
    assert parts_of(f"{path}+{path}") == (str(path), str(path))
    with pytest.raises(UnknownModelError):
        parts_of(f"{path}+nobody+pocket")
