from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.demucs.downloads import Downloads
from octet.separation.models.download import partial_of
from tests.separation.models.conftest import FILE, REPOSITORY, Hub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octet.separation.models.cache import Cache
    from octet.separation.models.registry import Entry

    Register = Callable[[str], Entry]

pytestmark = pytest.mark.demucs


@pytest.fixture
def pinned(hub: Hub, register: Register, cache: Cache) -> Downloads:
    """Of a model whose file is on the hub and has the hash that is known of it."""
    return Downloads(register(hashlib.sha256(hub.content).hexdigest()), cache)


@pytest.fixture
def unpinned(hub: Hub, register: Register, cache: Cache) -> Downloads:
    return Downloads(register(""), cache)


def checked(downloads: Downloads, **options: object) -> tuple[Path, str]:
    return downloads.checked(downloads.entry.checkpoints[0], **options)  # type: ignore[arg-type]  # as given


def test_a_file_is_fetched_once_and_its_progress_told(hub: Hub, pinned: Downloads) -> None:
    told: list[tuple[str, int, int]] = []

    file, sha256 = checked(pinned, report=lambda *at: told.append(at))

    assert file == pinned.folder / FILE
    assert file.read_bytes() == hub.content
    assert sha256 == pinned.entry.checkpoints[0].sha256
    assert told[-1] == (FILE, len(hub.content), len(hub.content))
    # And the next time nobody is asked.
    before = len(hub.requests)
    assert checked(pinned) == (file, sha256)
    assert len(hub.requests) == before


def test_nothing_is_drawn_on_the_terminal(
    hub: Hub, pinned: Downloads, capfd: pytest.CaptureFixture[str]
) -> None:
    checked(pinned)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("known", [True, False])
def test_what_a_killed_download_left_is_taken_up(
    hub: Hub, pinned: Downloads, unpinned: Downloads, known: bool
) -> None:
    # Given part of the file, under the hash that is known of it or that the hub announces,
    downloads, sha256 = pinned if known else unpinned, hashlib.sha256(hub.content).hexdigest()
    downloads.folder.mkdir(parents=True)
    partial_of(downloads.folder / FILE, sha256).write_bytes(hub.content[:1000])

    # when it is wanted, then the rest is fetched.
    assert checked(downloads)[0].read_bytes() == hub.content
    assert hub.ranges == ["bytes=1000-"]


def test_the_token_of_the_hub_is_used(
    hub: Hub, pinned: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")

    checked(pinned)

    assert hub.requests[0][3] == "Bearer hf_of_a_test"


def test_what_demucs_fetched_already_is_used(hub: Hub, pinned: Downloads, tmp_path: Path) -> None:
    # Given a file that Demucs put into the hub's own cache,
    import huggingface_hub

    where = huggingface_hub.hf_hub_download(
        REPOSITORY, FILE, endpoint=hub.address, cache_dir=tmp_path / "hf"
    )
    hub.requests.clear()

    # when the model is wanted, then that file is taken, and nobody is asked.
    file, sha256 = checked(pinned, download=False)
    assert str(file) == where
    assert sha256 == pinned.entry.checkpoints[0].sha256
    assert hub.requests == []


def test_a_hub_out_of_reach_is_explained_with_what_to_do(
    hub: Hub, pinned: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a hub that answers nobody (and a library that waits for no one between attempts),
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _seconds: None)

    with pytest.raises(ModelUnavailableError, match="refused") as caught:
        checked(pinned)

    assert f"http://127.0.0.1:9/{REPOSITORY}/resolve/main/{FILE}" in caught.value.hint
    assert str(pinned.folder) in caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_offline_mode_of_the_hub_is_kept(hub: Hub, pinned: Downloads) -> None:
    # The library reads its settings when it is imported, so this runs in a process of its own.
    script = (
        "import sys; from pathlib import Path\n"
        "from octet.errors import ModelUnavailableError\n"
        "from octet.separation.models.cache import Cache\n"
        "from octet.separation.models.resolve import pull\n"
        "try: pull('htdemucs', Cache(Path(sys.argv[1])))\n"
        "except ModelUnavailableError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(pinned.folder)],
        env={"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.address, "HF_HOME": str(pinned.folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "offline" in told.lower()
    assert hub.requests == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_file_that_is_not_there_is_a_clear_error(
    hub: Hub, pinned: Downloads, status: int
) -> None:
    hub.statuses = [status] * 3

    with pytest.raises(ModelUnavailableError, match=str(status)):
        checked(pinned)


def test_without_leave_to_download_the_error_names_the_command(hub: Hub, pinned: Downloads) -> None:
    with pytest.raises(ModelUnavailableError, match="octet models pull tiny"):
        checked(pinned, download=False)

    assert hub.requests == []


def test_wrong_bytes_are_refused_and_not_kept(hub: Hub, pinned: Downloads) -> None:
    hub.content = b"<html>Please sign in</html>"

    with pytest.raises(ModelDamagedError, match=pinned.entry.checkpoints[0].sha256):
        checked(pinned)

    assert not (pinned.folder / FILE).exists()


def test_a_file_put_there_by_hand_is_used(hub: Hub, pinned: Downloads) -> None:
    pinned.folder.mkdir(parents=True)
    (pinned.folder / FILE).write_bytes(hub.content)

    assert checked(pinned)[0] == pinned.folder / FILE
    assert hub.requests == []


def test_a_file_put_there_by_hand_must_have_the_hash(hub: Hub, pinned: Downloads) -> None:
    pinned.folder.mkdir(parents=True)
    (pinned.folder / FILE).write_bytes(hub.content + b"more")

    with pytest.raises(ModelDamagedError, match=pinned.entry.checkpoints[0].sha256):
        checked(pinned)


def test_an_older_pickle_is_held_to_the_hash_in_its_name(pinned: Downloads) -> None:
    pinned.folder.mkdir(parents=True)
    (pinned.folder / "0123abcd-00000000.th").write_bytes(b"something")

    with pytest.raises(ModelDamagedError, match="not 00000000"):
        checked(pinned)


def test_a_hash_that_is_not_pinned_is_recorded_and_held_to(hub: Hub, unpinned: Downloads) -> None:
    file, sha256 = checked(unpinned)

    assert json.loads((unpinned.folder / "sha256.json").read_text()) == {FILE: sha256}
    file.write_bytes(b"changed")
    with pytest.raises(ModelDamagedError, match=sha256):
        checked(unpinned)
    # Nor does another file come in when it is fetched again.
    file.unlink()
    hub.content = b"changed on the hub"
    with pytest.raises(ModelDamagedError, match=sha256):
        checked(unpinned)


def test_without_a_pinned_hash_the_announced_one_counts(hub: Hub, unpinned: Downloads) -> None:
    hub.announced = "0" * 64

    with pytest.raises(ModelDamagedError, match="0000"):
        checked(unpinned)


def test_a_folder_that_cannot_be_written_is_a_clear_error(hub: Hub, pinned: Downloads) -> None:
    pinned.folder.parent.mkdir(parents=True)
    pinned.folder.write_text("a file in the way")

    with pytest.raises(ModelUnavailableError, match="OCTET_CACHE"):
        checked(pinned)
