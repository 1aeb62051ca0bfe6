from __future__ import annotations

import numpy as np
import pytest

from octet.audio.excerpts import Excerpts
from octet.formats import Encoding
from tests.audio.waves import encoded, sound, whole


def taken(block: np.ndarray, piece: int) -> Excerpts:
    excerpts = Excerpts()
    for start in range(0, block.shape[1], piece):
        excerpts.add(block[:, start : start + piece])
    return excerpts


@pytest.mark.parametrize("piece", [777, 65536, 1_000_000])
@pytest.mark.parametrize("samples", [1, 5000, 100_000, 1_000_000])
def test_the_error_of_the_excerpts_is_that_of_the_whole(tmp_path, samples, piece):
    # given a file that is quieter than the sound by a tenth
    block = sound(samples)
    encoded(tmp_path / "track.wav", block * np.float32(0.9), Encoding("wav", bits=32))

    # when its excerpts are looked up in it
    residual = taken(block, piece).residual_db(tmp_path / "track.wav")

    # then a tenth is what is missing
    assert residual == pytest.approx(-20, abs=0.02)


@pytest.mark.parametrize("name", ["mp3", "ogg", "m4a"])
def test_the_receipt_of_a_lossy_file_says_what_was_lost(tmp_path, name):
    block = sound(400_000)

    receipt = encoded(tmp_path / "track", block, Encoding(name))

    lost = whole(tmp_path / "track") - block
    truth = 10 * np.log10(np.square(lost).sum() / np.square(block).sum())
    assert receipt.residual_db == pytest.approx(truth, abs=1.5)


def test_memory_stays_bounded_however_long_the_sound_is():
    excerpts = Excerpts()
    for _ in range(200):
        excerpts.add(np.zeros((2, 100_000), np.float32))

    kept = excerpts._kept
    assert 32 <= len(kept) <= 64
    assert max(kept) > 19_000_000


@pytest.mark.parametrize("name", ["flac", "wav"])
def test_lossless_files_are_not_measured(tmp_path, name):
    assert encoded(tmp_path / "track", sound(1000), Encoding(name)).residual_db is None


def test_silence_loses_nothing(tmp_path):
    silence = np.zeros((2, 50_000), np.float32)

    assert encoded(tmp_path / "track", silence, Encoding("mp3")).residual_db == -200
