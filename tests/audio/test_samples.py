from __future__ import annotations

import av
import numpy as np
import pytest

from octet.audio.samples import two_channels
from tests.audio.waves import sound


def names(layout: str) -> tuple[str, ...]:
    return tuple(channel.name for channel in av.AudioLayout(layout).channels)


def mixed_by_ffmpeg(block: np.ndarray, layout: str) -> np.ndarray:
    """What libswresample makes of it, with its rule for integers: nothing may clip."""
    resampler = av.AudioResampler(
        format="fltp", layout="stereo", options={"rematrix_maxval": "1.0"}
    )
    packed = np.ascontiguousarray(block.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.rate = 44100
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([one.to_ndarray() for one in frames], axis=1)


@pytest.mark.parametrize(
    "layout", ["3.0", "quad", "4.0", "5.0", "5.1", "5.1(side)", "6.1", "7.1", "7.1(wide)"]
)
def test_layouts_are_mixed_as_ffmpeg_does(layout):
    block = sound(1000, channels=len(names(layout)))

    mix = two_channels(block, names(layout))

    assert np.abs(mix - mixed_by_ffmpeg(block, layout)).max() < 1e-6


def test_mono_is_doubled_and_stereo_left_alone():
    block = sound(100)

    assert np.array_equal(two_channels(block[:1], ("FC",)), block[[0, 0]])
    assert np.array_equal(two_channels(block, ("FL", "FR")), block)


@pytest.mark.parametrize("count", range(1, 65))
def test_full_scale_on_every_channel_is_not_exceeded(count):
    unknown = tuple(f"UNK{channel}" for channel in range(count))

    mix = two_channels(np.ones((count, 10), np.float32), unknown)

    assert mix.shape == (2, 10)
    assert 0.5 < mix.max() <= 1.0 + 1e-6


def test_six_channels_without_names_are_taken_for_5_1():
    block = sound(100, channels=6)

    unknown = two_channels(block, tuple("ABCDEF"))

    assert np.array_equal(unknown, two_channels(block, names("5.1")))


def test_many_channels_without_names_are_pairs_of_left_and_right():
    block = np.zeros((10, 5), np.float32)
    block[4] = 1.0

    mix = two_channels(block, tuple("ABCDEFGHIJ"))

    assert np.allclose(mix, [[0.2] * 5, [0.0] * 5])
