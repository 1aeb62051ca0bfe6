from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    ModelDamagedError,
    ModelPolicyError,
    UnknownModelError,
    UntrustedModelError,
)
from octet.separation.model import ModelChoice
from octet.separation.models.cache import Cache, sha256_of
from octet.separation.models.onnx import read_spec, write_spec
from octet.separation.models.registry import REGISTRY
from octet.separation.models.resolve import BUNDLED, list_models, pull, resolve
from octet.separation.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octet.separation.models.registry import Entry
    from tests.separation.models.conftest import Hub

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
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    write_spec(_onnx(folder / "own.onnx"), SPEC)
    return folder


class TestOnnx:
    def test_a_described_model_is_taken_as_it_is(self, own: Path, cache: Cache) -> None:
        model = resolve(ModelChoice(own, cache=cache.folder))

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

        (member,) = resolve(ModelChoice(path, cache=cache.folder)).members

        assert member.spec.sources == ("drums", "bass", "other", "vocals")
        assert not member.spec.fixed
        assert member.path is not None
        assert read_spec(member.path) == member.spec
        assert member.sha256 == sha256_of(path)

    def test_a_fixed_length_becomes_the_segment(self, tmp_path: Path, cache: Cache) -> None:
        (member,) = resolve(
            ModelChoice(_onnx(tmp_path / "a.onnx", length=4096), cache=cache.folder)
        ).members

        assert member.spec.fixed
        assert member.spec.segment == 4096

    def test_other_shapes_need_a_description(self, tmp_path: Path, cache: Cache) -> None:
        with pytest.raises(ModelDamagedError, match="metadata property `octet`"):
            resolve(ModelChoice(_onnx(tmp_path / "six.onnx", outputs=6), cache=cache.folder))

    @pytest.mark.parametrize("content", [b"", b"<html>", bytes(1000)])
    def test_what_is_no_onnx_file_is_refused(
        self, tmp_path: Path, cache: Cache, content: bytes
    ) -> None:
        (tmp_path / "a.onnx").write_bytes(content)

        with pytest.raises(ModelDamagedError):
            resolve(ModelChoice(tmp_path / "a.onnx", cache=cache.folder))

    def test_a_bag_of_onnx_models_has_weights_and_a_segment(self, own: Path, cache: Cache) -> None:
        write_spec(_onnx(own / "second.onnx", length="m"), SPEC)
        bag = "models: [own, second]\nweights: [[1,0,1,1],[1,1,0,1]]\nsegment: 2\nlicence: MIT\n"
        (own / "both.yaml").write_text(bag)

        model = resolve(ModelChoice(own, policy="commercial", cache=cache.folder))

        assert [member.weights for member in model.members] == [(1, 0, 1, 1), (1, 1, 0, 1)]
        assert [member.spec.segment for member in model.members] == [96_000, 96_000]
        for member in model.members:
            assert member.path is not None
            assert read_spec(member.path) == member.spec
        assert model.licence == "MIT"

    def test_networks_of_different_kinds_make_no_model(self, own: Path, cache: Cache) -> None:
        write_spec(_onnx(own / "b.onnx"), replace(SPEC, samplerate=44_100))
        (own / "both.yaml").write_text("models: [own, b]")

        with pytest.raises(ModelDamagedError, match="differ"):
            resolve(ModelChoice(own, cache=cache.folder))

    @pytest.mark.parametrize("sources", [("drums", "x", "other", "bass"), ("voice", "remainder")])
    def test_a_model_without_the_stems_that_octet_needs_is_refused(
        self, tmp_path: Path, cache: Cache, sources: tuple[str, ...]
    ) -> None:
        path = _onnx(tmp_path / "a.onnx")
        write_spec(path, replace(SPEC, sources=sources))

        with pytest.raises(ModelDamagedError, match="no vocals"):
            resolve(ModelChoice(path, cache=cache.folder))


class TestPolicy:
    @pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.repository])
    def test_demucs_models_are_refused_where_only_commercial_use_counts(
        self, name: str, cache: Cache
    ) -> None:
        with pytest.raises(ModelPolicyError, match="commercial"):
            resolve(ModelChoice(name, policy="commercial", cache=cache.folder), download=False)

    def test_a_folder_has_to_state_a_licence_that_allows_it(self, own: Path, cache: Cache) -> None:
        assert (
            resolve(ModelChoice(own, policy="commercial", cache=cache.folder)).licence == "CC0-1.0"
        )

        for licence in ("", "CC-BY-NC-4.0"):
            write_spec(own / "own.onnx", replace(SPEC, licence=licence))
            with pytest.raises(ModelPolicyError):
                resolve(ModelChoice(own, policy="commercial", cache=cache.folder))


class TestUnknown:
    @pytest.mark.parametrize("name", ["htdemux", "./nowhere", "/nowhere/at/all", ""])
    def test_the_error_names_the_models_that_there_are(self, name: str, cache: Cache) -> None:
        with pytest.raises(UnknownModelError, match="htdemucs_6s"):
            resolve(ModelChoice(name, cache=cache.folder))

    def test_pull_knows_names_alone(self, own: Path, cache: Cache) -> None:
        with pytest.raises(UnknownModelError):
            pull(str(own), cache)


def test_pocket_is_bundled(cache: Cache) -> None:
    model = resolve(ModelChoice("pocket", policy="commercial", cache=cache.folder))

    assert model.loaded_from == "bundled with Octet"
    assert set(model.sources) == {"drums", "bass", "vocals"}  # `other` is the rest
    assert model.licence == "CC0-1.0"
    assert pull("pocket", cache) == BUNDLED / "pocket.onnx"


class TestKnown:
    """A model of the registry, from a hub on this machine, with weights made here."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        files = pytest.importorskip("tests.separation.models.demucs.files")
        path: Path = files.write_safetensors(
            files.tiny_htdemucs(depth=2, t_layers=1), tmp_path / "0123abcd.safetensors"
        )
        return path

    @pytest.fixture
    def tiny(self, checkpoint: Path, hub: Hub, register: Callable[[str], Entry]) -> Entry:
        hub.content = checkpoint.read_bytes()
        return register(sha256_of(checkpoint))

    @demucs
    def test_pull_fetches_what_is_missing(
        self, checkpoint: Path, tiny: Entry, cache: Cache
    ) -> None:
        told: list[tuple[str, int, int]] = []
        before = {line.entry.name: line for line in list_models(cache)}["tiny"]

        folder = pull("tiny", cache, lambda *at: told.append(at))

        size = checkpoint.stat().st_size
        assert told[-1] == ("0123abcd.safetensors", size, size)
        assert (folder / checkpoint.name).read_bytes() == checkpoint.read_bytes()
        after = {line.entry.name: line for line in list_models(cache)}["tiny"]
        assert (before.where, after.where) == (None, folder)
        assert not after.converted
        told.clear()
        assert pull("tiny", cache, lambda *at: told.append(at)) == folder
        assert told == []

    @demucs
    @pytest.mark.timeout(900)  # traced in Python: minutes on a busy machine
    def test_it_is_converted_once_and_then_runs_without_pytorch(
        self, checkpoint: Path, tiny: Entry, cache: Cache
    ) -> None:
        # Given a model that was converted,
        told: list[tuple[str, int, int]] = []
        choice = ModelChoice("tiny", cache=cache.folder)
        model = resolve(choice, on_progress=lambda *at: told.append(at))
        (member,) = model.members
        assert list(dict.fromkeys(told))[-2:] == [
            ("converting 0123abcd.safetensors", 0, 1),
            ("converting 0123abcd.safetensors", 1, 1),
        ]
        assert model.sha256 == tiny.checkpoints[0].sha256
        assert model.loaded_from == f"converted, {member.path}"
        assert {line.entry.name: line.converted for line in list_models(cache)}["tiny"]

        # when another process wants it, even without its checkpoint,
        (cache.model_folder("tiny") / checkpoint.name).unlink()
        again = resolve(choice, download=False)
        assert again == model
        script = (
            "import sys; from pathlib import Path\n"
            "from octet.separation.model import ModelChoice\n"
            "from octet.separation.models.resolve import resolve\n"
            "checkpoint, cache = map(Path, sys.argv[1:])\n"
            "model = resolve(ModelChoice(checkpoint, cache=cache))\n"
            "print(model.members[0].path, 'torch' in sys.modules)"
        )
        output = subprocess.run(
            [sys.executable, "-c", script, checkpoint, cache.folder],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        # then the converted file is used, and PyTorch is not even imported.
        assert output.split() == [str(member.path), "False"]

        # And a converted file that was damaged since is made again.
        assert member.path is not None
        member.path.write_bytes(b"damaged")
        fresh = resolve(ModelChoice(checkpoint, cache=cache.folder))
        assert fresh.members[0].path == member.path
        spec = read_spec(member.path)
        assert spec is not None
        assert spec.kind == "hybrid"

    @demucs
    def test_pytorch_networks_come_with_the_same_description(
        self, checkpoint: Path, cache: Cache
    ) -> None:
        choice = ModelChoice(checkpoint, cache=cache.folder)
        (member,) = resolve(choice, "torch").members

        assert member.path is None
        assert type(member.network).__name__ == "HTDemucs"
        assert member.spec.kind == "hybrid"
        assert member.loaded_from == f"{checkpoint} (PyTorch)"

    @demucs
    def test_a_pickle_in_a_folder_needs_trust(self, tmp_path: Path, cache: Cache) -> None:
        files = pytest.importorskip("tests.separation.models.demucs.files")
        files.write_pickle(files.tiny_htdemucs(), tmp_path / "a.th")
        choice = ModelChoice(tmp_path / "a.th", cache=cache.folder)

        with pytest.raises(UntrustedModelError, match="OCTET_TRUST_CHECKPOINT"):
            resolve(choice)
        trusted = resolve(replace(choice, trust_checkpoint=True), "torch")
        assert trusted.members[0].network is not None
