from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from octet.audio.song import SongInfo
from octet.errors import SettingError
from octet.formats import FORMATS, Encoding, FormatName, media_type


def song_of(bits: int | None) -> SongInfo:
    return SongInfo("wav", "pcm", 44100, 2, "stereo", bits, None)


def test_the_names_for_options_are_those_of_the_formats():
    assert get_args(FormatName) == tuple(FORMATS)


def test_the_list_of_formats_loads_nothing_heavy():
    code = "import octet.formats, sys; print({'numpy', 'av', 'soxr'} & set(sys.modules))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "set()\n"


@pytest.mark.parametrize(
    ("name", "rate", "held"),
    [
        ("mp3", 44100, 44100),
        ("mp3", 22050, 22050),
        ("mp3", 96000, 48000),
        ("mp3", 37800, 44100),
        ("mp3", 4000, 8000),
        ("opus", 44100, 48000),
        ("m4a", 96000, 96000),
        ("m4a", 192000, 96000),
        ("flac", 96000, 96000),
        ("wav", 12345, 12345),
        ("stem", 8000, 44100),
        ("stem", 96000, 44100),
    ],
)
def test_a_format_holds_the_rate_or_the_next_higher_or_its_highest(name, rate, held):
    assert FORMATS[name].nearest_rate(rate) == held


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "wma"},
        {"name": "mp3", "bits": 16},
        {"name": "flac", "bits": 32},
        {"name": "wav", "bits": 20},
        {"name": "mp3", "bitrate": 500},
        {"name": "flac", "bitrate": 320},
        {"name": "mp3", "quality": 10},
        {"name": "wav", "quality": 5},
        {"name": "stem", "bits": 32},
        {"name": "stem", "bits": 16, "bitrate": 256},
    ],
)
def test_a_setting_that_the_format_does_not_have_is_refused_with_a_hint(settings):
    with pytest.raises(SettingError) as refused:
        Encoding(**settings)

    assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "song_bits", "bits"),
    [
        ("flac", 16, 16),
        ("flac", 24, 24),
        ("flac", 32, 24),
        ("wav", 8, 16),
        ("wav", 24, 24),
        ("wav", 32, 32),
        ("flac", None, 16),
        ("mp3", 24, None),
        ("stem", 24, None),
    ],
)
def test_bits_that_are_not_asked_for_are_the_songs_own(name, song_bits, bits):
    assert Encoding(name).for_song(song_bits).bits == bits


def test_bits_that_are_asked_for_stay():
    assert Encoding("flac", bits=16).for_song(24).bits == 16


def test_a_stem_file_is_lossy_unless_bits_are_asked_for():
    lossy, lossless = Encoding("stem"), Encoding("stem", bits=24)

    assert (lossy.lossless, lossy.kilobits) == (False, 256)
    assert (lossless.lossless, lossless.kilobits) == (True, None)
    assert lossless.for_song(16) == lossless
    others = [Encoding(name) for name in FORMATS if name != "stem"]
    assert [one.name for one in others if one.lossless] == ["flac", "wav"]
    assert all((one.kilobits is None) == one.lossless for one in others)


@pytest.mark.parametrize(
    ("extension", "mime"),
    [("mp3", "audio/mpeg"), ("mp4", "audio/mp4"), ("exe", "application/octet-stream")],
)
def test_a_file_is_served_as_what_its_extension_says(extension, mime):
    assert media_type(extension) == mime
