from __future__ import annotations

import hashlib
import http.server
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.frameworks.architectures import architecture_of
from octet.separation.models.frameworks.downloads import config_of, find, obtain
from octet.separation.models.frameworks.published import MELBAND
from octet.separation.models.registry import REGISTRY, Archive, Entry
from octet.separation.models.resolve import list_models, pull
from octet.separation.models.spec import About

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octet.separation.models.cache import Cache

CONTENT = bytes(range(256)) * 40


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Entry]:
    """A model whose checkpoint a server on this machine has."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "tiny.ckpt").write_bytes(CONTENT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler: Any = partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/tiny.ckpt"
        made = Entry(
            name="tiny",
            description="For tests.",
            licence="none declared",
            commercial=False,
            source="a test",
            sources=("vocals",),
            archive=Archive("tiny.ckpt", hashlib.sha256(CONTENT).hexdigest(), url=url),
            network=MELBAND,
        )
        monkeypatch.setitem(REGISTRY, "tiny", made)
        yield made
        server.shutdown()
        thread.join()


def test_a_checkpoint_is_fetched_once_and_held_to_its_hash(entry: Entry, cache: Cache) -> None:
    assert find(entry, cache) is None
    with pytest.raises(ModelUnavailableError, match="octet models pull tiny"):
        obtain(entry, cache, download=False)

    path = obtain(entry, cache)

    assert path.read_bytes() == CONTENT
    assert find(entry, cache) == path == obtain(entry, cache, download=False)
    # And one that was damaged since is not used.
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelDamagedError, match="SHA-256"):
        obtain(entry, cache)


def test_a_file_that_is_at_hand_serves_as_well(entry: Entry, cache: Cache, tmp_path: Path) -> None:
    own = tmp_path / "own.ckpt"
    own.write_bytes(b"something else")
    with pytest.raises(ModelDamagedError):
        pull("tiny", cache, given=own)
    assert find(entry, cache) is None

    own.write_bytes(CONTENT)
    assert pull("tiny", cache, given=own) == cache.model_folder("tiny")

    assert own.exists()
    assert find(entry, cache) is not None


def test_a_server_that_gives_something_else_leaves_nothing(
    entry: Entry, cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "served" / "tiny.ckpt").write_bytes(b"a page that says sorry")

    with pytest.raises(ModelDamagedError, match="SHA-256"):
        obtain(entry, cache)
    assert [path.name for path in cache.model_folder("tiny").iterdir()] == [".tiny.ckpt.lock"]


def test_a_server_that_does_not_have_it_is_named(
    entry: Entry, cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "served" / "tiny.ckpt").unlink()

    with pytest.raises(ModelUnavailableError, match="octet models pull tiny --from FILE"):
        obtain(entry, cache)


@pytest.mark.usefixtures("entry")
def test_it_is_listed_with_where_it_is(cache: Cache) -> None:
    def listed() -> Any:
        return next(one for one in list_models(cache) if one.entry.name == "tiny")

    assert (listed().where, listed().converted) == (None, False)
    pull("tiny", cache)
    assert listed().where == cache.model_folder("tiny")


@pytest.mark.parametrize(("name", "millions"), [("melband", 228.2), ("bs_roformer", 159.8)])
def test_those_that_are_known_state_hash_licence_and_network(name: str, millions: float) -> None:
    torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
    entry = REGISTRY[name]
    config = config_of(entry)

    assert entry.archive is not None
    assert len(entry.archive.sha256) == 64
    assert entry.archive.url.startswith("https://")
    assert not entry.commercial
    assert entry.sources == config.sources == ("vocals",)
    # Four bytes a weight: files of 913 and 639 MB.
    with torch.device("meta"):
        network, spec = architecture_of(config).build(config, About(name))
    weights = sum(one.numel() for one in network.parameters()) / 1e6
    assert weights == pytest.approx(millions, abs=0.1)
    assert spec.segment == 352_800
