from __future__ import annotations

import av
import pytest

from octet.audio.mp3 import held_bitrate
from octet.formats import Encoding
from tests.audio.waves import encoded, sound


@pytest.mark.parametrize(
    ("rate", "asked", "held"),
    [(44100, 320, 320), (44100, 150, 160), (22050, 320, 160), (8000, 320, 64), (48000, 8, 32)],
)
def test_the_bit_rate_is_the_nearest_that_the_sample_rate_can_have(rate, asked, held):
    assert held_bitrate(rate, asked) == held


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("bitrate", [8, 32, 64, 192, 320])
def test_the_info_header_counts_frames_bytes_and_padding(tmp_path, rate, bitrate):
    path = tmp_path / "track.mp3"
    encoded(path, sound(20_000), Encoding("mp3", bitrate=bitrate), rate)

    data = path.read_bytes()
    info = data.index(b"Info")
    frames, size = (int.from_bytes(data[info + at : info + at + 4]) for at in (8, 12))
    trims = int.from_bytes(data[info + 141 : info + 144])
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    assert frames == len(packets)
    assert size == len(data) - data.index(b"\xff")
    frame = 1152 if rate >= 32000 else 576
    assert frames * frame - (trims >> 12) - (trims & 0xFFF) == 20_000


def test_quality_is_the_effort_of_the_encoder(tmp_path):
    slow, fast = (
        encoded(tmp_path / f"{quality}.mp3", sound(40_000), Encoding("mp3", quality=quality))
        for quality in (2, 7)
    )

    assert slow.bytes == fast.bytes
    assert slow.sha256 != fast.sha256
