"""LAME's own interface is called: a lameenc that does not export it must not go unseen."""

from __future__ import annotations

import numpy as np
import pytest

from octet.audio.lame import Lame


@pytest.mark.parametrize("bitrate", [64, 128, 224, 320])
def test_this_lameenc_lets_the_gain_be_set(bitrate):
    lame = Lame(44100, bitrate, 5)

    held = lame._library.lame_get_scale(lame._encoder)

    assert held == pytest.approx(1.0, abs=1e-6), "LAME's own gain is no longer undone"


def test_all_frames_come_out_at_the_bit_rate():
    lame = Lame(48000, 128, 5)
    silence = np.zeros((48000, 2), np.int16)

    data = lame.encode(silence) + lame.flush()

    assert len(data) == pytest.approx(128_000 / 8, rel=0.05)
    assert data[:2] == b"\xff\xfb"


def test_what_lame_refuses_is_an_error():
    with pytest.raises(RuntimeError, match="LAME does not take"):
        Lame(3, 128, 5)


def test_closing_twice_does_no_harm():
    lame = Lame(44100, 320, 9)

    lame.close()
    lame.close()
