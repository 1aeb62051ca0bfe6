from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import (
    ModelDamagedError,
    ModelPolicyError,
    UnknownModelError,
)
from octet.separation.models import resolve as models
from octet.separation.models.cache import Cache, sha256_of
from octet.separation.models.registry import REGISTRY
from octet.separation.models.spec import ModelSpec, read_spec, write_spec

if TYPE_CHECKING:
    from pathlib import Path

demucs = pytest.mark.demucs

SPEC = ModelSpec(
    name="own",
    sources=("drums", "bass", "other", "vocals"),
    samplerate=48_000,
    segment=1000,
    kind="waveform",
    fixed=False,
    licence="CC0-1.0",
)


def _onnx(path: Path, outputs: int = 4, length: int | str = "n") -> Path:
    """An ONNX model that gives its input for every source, without any description."""
    helper = pytest.importorskip("onnx", reason="needs the package onnx").helper
    onnx = pytest.importorskip("onnx")
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["audio", "axis"], ["one"]),
            helper.make_node("Concat", ["one"] * outputs, ["stems"], axis=1),
        ],
        "copies",
        [helper.make_tensor_value_info("audio", float32, [1, 2, length])],
        [helper.make_tensor_value_info("stems", float32, [1, outputs, 2, length])],
        [helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    write_spec(_onnx(folder / "own.onnx"), SPEC)
    return folder


class TestRegistry:
    def test_the_default_is_the_one_that_everybody_may_use(self) -> None:
        assert [name for name, entry in REGISTRY.items() if entry.commercial] == ["pocket"]

    def test_each_entry_states_licence_source_and_files(self) -> None:
        for name, entry in REGISTRY.items():
            assert entry.name == name
            assert entry.licence
            assert entry.source
            assert entry.description
            assert entry.bundled == (not entry.checkpoints)
            for checkpoint in entry.checkpoints:
                assert re.fullmatch(r"[0-9a-f]{8}", checkpoint.signature)
                assert re.fullmatch(r"([0-9a-f]{64})?", checkpoint.sha256)

    @demucs
    def test_it_says_what_the_package_demucs_says(self) -> None:
        # Given the bags and addresses that demucs 4.1.0 ships,
        pytest.importorskip("torch", reason="needs the extra `demucs`")
        pretrained: Any = pytest.importorskip("demucs.pretrained")
        hf: Any = pytest.importorskip("demucs.hf")
        yaml = pytest.importorskip("yaml")
        addresses = pretrained._parse_remote_files(pretrained.REMOTE_ROOT / "files.txt")

        for name, entry in REGISTRY.items():
            if entry.bundled:
                continue
            bag = yaml.safe_load((pretrained.REMOTE_ROOT / f"{name}.yaml").read_text())

            # then the registry has the same members, weights, segments and places.
            assert [item.signature for item in entry.checkpoints] == bag["models"]
            assert [list(row) for row in entry.weights] == bag.get("weights", [])
            assert entry.segment == bag.get("segment")
            assert entry.repository == f"{hf.DEFAULT_NAMESPACE}/{hf.hf_repo_name(name)}"
            for item in entry.checkpoints:
                assert addresses[item.signature] == pretrained.ROOT_URL + item.pickle
                assert entry.url(item, "https://hub") == (
                    f"https://hub/{entry.repository}/resolve/main/{item.signature}.safetensors"
                )


class TestOnnx:
    def test_a_described_model_is_taken_as_it_is(self, own: Path, cache: Cache) -> None:
        model = models.resolve(own, cache=cache)

        (member,) = model.members
        assert member.path == own / "own.onnx"
        assert member.spec == SPEC
        assert model.name == "own"
        assert (model.sources, model.samplerate) == (SPEC.sources, 48_000)
        assert model.licence == "CC0-1.0"
        assert model.sha256 == sha256_of(own / "own.onnx")
        assert model.loaded_from == str(own / "own.onnx")
        assert not cache.folder.exists()

    def test_a_waveform_model_from_elsewhere_gets_a_description(
        self, tmp_path: Path, cache: Cache
    ) -> None:
        path = _onnx(tmp_path / "foreign.onnx")

        (member,) = models.resolve(path, cache=cache).members

        assert member.spec.sources == ("drums", "bass", "other", "vocals")
        assert not member.spec.fixed
        assert member.path is not None
        assert read_spec(member.path) == member.spec
        assert member.sha256 == sha256_of(path)

    def test_a_fixed_length_becomes_the_segment(self, tmp_path: Path, cache: Cache) -> None:
        (member,) = models.resolve(_onnx(tmp_path / "a.onnx", length=4096), cache=cache).members

        assert member.spec.fixed
        assert member.spec.segment == 4096

    def test_other_shapes_need_a_description(self, tmp_path: Path, cache: Cache) -> None:
        with pytest.raises(ModelDamagedError, match="metadata property `octet`"):
            models.resolve(_onnx(tmp_path / "six.onnx", outputs=6), cache=cache)

    @pytest.mark.parametrize("content", [b"", b"<html>", bytes(1000)])
    def test_what_is_no_onnx_file_is_refused(
        self, tmp_path: Path, cache: Cache, content: bytes
    ) -> None:
        (tmp_path / "a.onnx").write_bytes(content)

        with pytest.raises(ModelDamagedError):
            models.resolve(tmp_path / "a.onnx", cache=cache)

    def test_a_bag_of_onnx_models_has_weights_and_a_segment(self, own: Path, cache: Cache) -> None:
        write_spec(_onnx(own / "second.onnx", length="m"), SPEC)
        bag = "models: [own, second]\nweights: [[1,0,1,1],[1,1,0,1]]\nsegment: 2\nlicence: MIT\n"
        (own / "both.yaml").write_text(bag)

        model = models.resolve(own, cache=cache, policy="commercial")

        assert [member.weights for member in model.members] == [(1, 0, 1, 1), (1, 1, 0, 1)]
        assert [member.spec.segment for member in model.members] == [96_000, 96_000]
        for member in model.members:
            assert member.path is not None
            assert read_spec(member.path).segment == 96_000
        assert model.licence == "MIT"

    def test_networks_of_different_kinds_make_no_model(self, own: Path, cache: Cache) -> None:
        write_spec(_onnx(own / "b.onnx"), ModelSpec(**{**SPEC.__dict__, "samplerate": 44_100}))
        (own / "both.yaml").write_text("models: [own, b]")

        with pytest.raises(ModelDamagedError, match="differ"):
            models.resolve(own, cache=cache)


class TestPolicy:
    @pytest.mark.parametrize("name", [name for name in REGISTRY if name != "pocket"])
    def test_demucs_models_are_refused_where_only_commercial_use_counts(
        self, name: str, cache: Cache
    ) -> None:
        with pytest.raises(ModelPolicyError, match="commercial"):
            models.resolve(name, policy="commercial", cache=cache, download=False)

    def test_a_folder_has_to_state_a_licence_that_allows_it(self, own: Path, cache: Cache) -> None:
        assert models.resolve(own, policy="commercial", cache=cache).licence == "CC0-1.0"

        for licence in ("", "CC-BY-NC-4.0"):
            write_spec(own / "own.onnx", ModelSpec(**{**SPEC.__dict__, "licence": licence}))
            with pytest.raises(ModelPolicyError):
                models.resolve(own, policy="commercial", cache=cache)


class TestUnknown:
    @pytest.mark.parametrize("name", ["htdemux", "./nowhere", "/nowhere/at/all", ""])
    def test_the_error_names_the_models_that_there_are(self, name: str, cache: Cache) -> None:
        with pytest.raises(UnknownModelError, match="htdemucs_6s"):
            models.resolve(name, cache=cache)

    def test_pull_knows_names_alone(self, own: Path, cache: Cache) -> None:
        with pytest.raises(UnknownModelError):
            models.pull(str(own), cache=cache)


def test_pocket_is_bundled(cache: Cache) -> None:
    model = models.resolve("pocket", policy="commercial", cache=cache)

    assert model.loaded_from == "bundled with Octet"
    assert set(model.sources) == {"drums", "bass", "vocals"}  # `other` is the rest
    assert model.licence == "CC0-1.0"
    assert models.pull("pocket", cache=cache) == models.BUNDLED / "pocket.onnx"
