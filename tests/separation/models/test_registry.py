from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError, UntrustedModelError
from octet.separation.models import resolve as models
from octet.separation.models.cache import Cache, sha256_of
from octet.separation.models.registry import REGISTRY, Checkpoint, Entry
from octet.separation.models.spec import read_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

demucs = pytest.mark.demucs
conversion = pytest.mark.timeout(900)  # traced in Python: minutes on a busy machine


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


class TestKnown:
    """A model of the registry, from a hub on this machine, with weights made here."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        files = pytest.importorskip("tests.separation.models.demucs.files")
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
        monkeypatch.setattr("octet.separation.models.demucs.hub.ATTEMPTS", 1)

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
            "import sys; from pathlib import Path\n"
            "from octet.separation.models import resolve as models\n"
            "from octet.separation.models.cache import Cache\n"
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
        files = pytest.importorskip("tests.separation.models.demucs.files")
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
