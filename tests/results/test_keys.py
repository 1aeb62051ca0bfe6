from __future__ import annotations

import pytest

from octet.errors import SettingError
from octet.results.keys import ResultKeys


@pytest.mark.parametrize("name", ["", ".staging", "..", "a/b", "a b", "ü", "x" * 129, "a\n"])
def test_a_song_that_cannot_be_a_key_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="cannot name a song"):
        ResultKeys(name)


def test_nothing_unsafe_gets_into_a_key() -> None:
    for bad in ("", "../x", "a/b", "a.b", "a\n"):
        with pytest.raises(SettingError):
            ResultKeys("song").track(bad)
        with pytest.raises(SettingError):
            ResultKeys("song").stage(bad)
        with pytest.raises(SettingError):
            ResultKeys("song", extension=bad)
        if bad:
            with pytest.raises(SettingError):
                ResultKeys("song", recipe=bad)


def test_the_store_hands_files_out_under_names_for_people() -> None:
    keys = ResultKeys("song", "0123456789abcdef", "mp4")

    assert keys.track("stem") == "song/0123456789abcdef/stem.mp4"
    assert keys.download_name("stem") == "song-0123456789abcdef.stem.mp4"
    assert ResultKeys("a.b").download_name("vocals") == "a.b-vocals.mp3"
    with pytest.raises(SettingError):
        keys.download_name("../stem")
