from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import (
    ModelDamagedError,
    ModelPolicyError,
    ModelUnavailableError,
    UnknownModelError,
    UntrustedModelError,
)
from octet.separation import models
from octet.separation.cache import Cache, sha256_of
from octet.separation.converted import ModelSpec, read_spec, write_spec
from octet.separation.registry import REGISTRY, Checkpoint, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

demucs = pytest.mark.demucs
conversion = pytest.mark.timeout(900)  # traced in Python: minutes on a busy machine

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


class TestKnown:
    """A model of the registry, from a hub on this machine, with weights made here."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        files = pytest.importorskip("tests.separation.demucs_files")
        folder = tmp_path / "hub" / "adefossez" / "Tiny" / "resolve" / "main"
        folder.mkdir(parents=True)
        path: Path = files.write_safetensors(
            files.tiny_htdemucs(depth=2, t_layers=1), folder / "0123abcd.safetensors"
        )
        return path

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        handler = partial(_Quiet, directory=str(tmp_path / "hub"))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            address = f"http://127.0.0.1:{server.server_port}"
            monkeypatch.setenv("HF_ENDPOINT", address)
            yield address
            server.shutdown()
            thread.join()

    @pytest.fixture
    def tiny(self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
        return self._register(monkeypatch, sha256_of(checkpoint))

    @staticmethod
    def _register(monkeypatch: pytest.MonkeyPatch, sha256: str) -> Entry:
        entry = Entry(
            name="tiny",
            description="For tests.",
            licence="CC0-1.0",
            commercial=True,
            source="a test",
            repository="adefossez/Tiny",
            checkpoints=(Checkpoint("0123abcd", sha256, "x/0123abcd-00000000.th"),),
        )
        monkeypatch.setitem(REGISTRY, "tiny", entry)
        return entry

    def test_pull_fetches_what_is_missing(
        self, checkpoint: Path, hub: str, tiny: Entry, cache: Cache
    ) -> None:
        told: list[tuple[str, int, int]] = []
        before = {line.entry.name: line for line in models.list_models(cache)}["tiny"]

        folder = models.pull("tiny", cache=cache, on_progress=lambda *at: told.append(at))

        size = checkpoint.stat().st_size
        assert told[-1] == ("0123abcd.safetensors", size, size)
        assert (folder / checkpoint.name).read_bytes() == checkpoint.read_bytes()
        after = {line.entry.name: line for line in models.list_models(cache)}["tiny"]
        assert (before.where, after.where) == (None, folder)
        assert not after.converted
        told.clear()
        assert models.pull("tiny", cache=cache, on_progress=lambda *at: told.append(at)) == folder
        assert told == []

    def test_offline_the_error_says_what_to_fetch_and_where_to_put_it(
        self, checkpoint: Path, tiny: Entry, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr("octet.separation.demucs.hub.ATTEMPTS", 1)

        with pytest.raises(ModelUnavailableError) as caught:
            models.resolve("tiny", cache=cache)

        url = "http://127.0.0.1:9/adefossez/Tiny/resolve/main/0123abcd.safetensors"
        assert url in caught.value.hint
        assert str(cache.model_folder("tiny")) in caught.value.hint
        with pytest.raises(ModelUnavailableError, match="octet models pull tiny"):
            models.resolve("tiny", cache=cache, download=False)

    def test_a_file_put_there_by_hand_must_have_the_hash(
        self, checkpoint: Path, tiny: Entry, cache: Cache
    ) -> None:
        folder = cache.model_folder("tiny")
        folder.mkdir(parents=True)
        (folder / checkpoint.name).write_bytes(checkpoint.read_bytes() + b"more")

        with pytest.raises(ModelDamagedError, match=tiny.checkpoints[0].sha256):
            models.pull("tiny", cache=cache)

    def test_a_hash_that_is_not_pinned_is_recorded_and_held_to(
        self, checkpoint: Path, hub: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._register(monkeypatch, "")

        folder = models.pull("tiny", cache=cache)

        record = json.loads((folder / "sha256.json").read_text())
        assert record == {checkpoint.name: sha256_of(checkpoint)}
        (folder / checkpoint.name).write_bytes(b"changed")
        with pytest.raises(ModelDamagedError, match=record[checkpoint.name]):
            models.pull("tiny", cache=cache)
        # Nor does another file come in when it is fetched again.
        (folder / checkpoint.name).unlink()
        checkpoint.write_bytes(b"changed on the hub")
        with pytest.raises(ModelDamagedError, match=record[checkpoint.name]):
            models.pull("tiny", cache=cache)

    def test_an_older_pickle_is_held_to_the_hash_in_its_name(
        self, tiny: Entry, cache: Cache
    ) -> None:
        folder = cache.model_folder("tiny")
        folder.mkdir(parents=True)
        (folder / "0123abcd-00000000.th").write_bytes(b"something")

        with pytest.raises(ModelDamagedError, match="not 00000000"):
            models.pull("tiny", cache=cache)

    @demucs
    @conversion
    def test_it_is_converted_once_and_then_runs_without_pytorch(
        self, checkpoint: Path, hub: str, tiny: Entry, cache: Cache
    ) -> None:
        # Given a model that was converted,
        told: list[tuple[str, int, int]] = []
        model = models.resolve("tiny", cache=cache, on_progress=lambda *at: told.append(at))
        (member,) = model.members
        assert told[-2:] == [
            ("converting 0123abcd.safetensors", 0, 1),
            ("converting 0123abcd.safetensors", 1, 1),
        ]
        assert model.sha256 == tiny.checkpoints[0].sha256
        assert model.loaded_from == f"converted, {member.path}"
        assert {line.entry.name: line.converted for line in models.list_models(cache)}["tiny"]

        # when another process wants it, even without its checkpoint,
        (cache.model_folder("tiny") / checkpoint.name).unlink()
        again = models.resolve("tiny", cache=cache, download=False)
        assert again == model
        script = (
            "import sys; from pathlib import Path; from octet.separation import models\n"
            "from octet.separation.cache import Cache\n"
            "checkpoint, cache = map(Path, sys.argv[1:])\n"
            "model = models.resolve(checkpoint, cache=Cache(cache))\n"
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
        assert models.resolve(checkpoint, cache=cache).members[0].path == member.path
        assert read_spec(member.path).kind == "hybrid"

    @demucs
    def test_pytorch_networks_come_with_the_same_description(
        self, checkpoint: Path, cache: Cache
    ) -> None:
        (member,) = models.resolve(checkpoint, cache=cache, runtime="torch").members

        assert member.path is None
        assert type(member.network).__name__ == "HTDemucs"
        assert member.spec.kind == "hybrid"
        assert member.loaded_from == f"{checkpoint} (PyTorch)"

    @demucs
    def test_a_pickle_in_a_folder_needs_trust(self, tmp_path: Path, cache: Cache) -> None:
        files = pytest.importorskip("tests.separation.demucs_files")
        files.write_pickle(files.tiny_htdemucs(), tmp_path / "a.th")

        with pytest.raises(UntrustedModelError, match="OCTET_TRUST_CHECKPOINT"):
            models.resolve(tmp_path / "a.th", cache=cache)
        trusted = models.resolve(
            tmp_path / "a.th", cache=cache, runtime="torch", trust_checkpoint=True
        )
        assert trusted.members[0].network is not None


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Says nothing."""
