"""Claims of length that a container itself contradicts are no damage; all others are held to."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from octet.errors import DamagedAudioError
from octet.formats import Encoding
from tests.audio.waves import muxed, song, sound, wav_bytes, whole

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, data: bytes) -> Path:
    path = folder / "song.bin"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("counted", [8, 36, 44])
def test_a_wav_whose_size_counts_its_header_in_is_whole(tmp_path, counted):
    frames = sound(40_000).T

    heard = whole(written(tmp_path, wav_bytes(frames, size=frames.nbytes + counted)))

    assert np.array_equal(heard, frames.T)


def test_a_wav_that_lacks_more_than_a_header_is_cut_off(tmp_path):
    frames = sound(40_000).T

    with pytest.raises(DamagedAudioError, match="cut off or broken"):
        whole(written(tmp_path, wav_bytes(frames, size=frames.nbytes + 48)))


def aiff(missing: int) -> bytes:
    """An AIFF that claims so many more frames than it has."""
    frames = (sound(10_000).T * 32767).astype(">i2")
    stated = len(frames) + missing
    rate = bytes.fromhex("400eac44000000000000")  # 44100 in 80 bits
    common = b"COMM" + struct.pack(">IhIh", 18, 2, stated, 16) + rate
    data = frames.tobytes()
    sound_data = b"SSND" + struct.pack(">III", 8 + stated * 4, 0, 0) + data
    return (
        b"FORM"
        + struct.pack(">I", 4 + len(common) + len(sound_data))
        + b"AIFF"
        + common
        + sound_data
    )


def test_an_aiff_whose_size_counts_its_header_in_is_whole(tmp_path):
    assert whole(written(tmp_path, aiff(0))).shape == (2, 10_000)
    assert whole(written(tmp_path, aiff(12))).shape == (2, 10_000)
    with pytest.raises(DamagedAudioError):
        whole(written(tmp_path, aiff(200)))


def alac(folder: Path, samples: int, *, valid: int, remainder: int, priming: int = 0) -> bytes:
    """ALAC in CAF, whose table of packets says what it is told to say."""
    integers = (sound(samples) * 32767).astype(np.int16)
    muxed(folder / "made.caf", "caf", "alac", [integers])
    data = bytearray((folder / "made.caf").read_bytes())
    place = data.index(b"pakt") + 12
    struct.pack_into(">qii", data, place + 8, valid, priming, remainder)
    return bytes(data)


@pytest.mark.parametrize(
    ("valid", "remainder"), [(10_000, 2288), (12_288, 0), (12_288, 2288), (10_000, 0)]
)
def test_alac_in_caf_is_whole_whatever_the_remainder_is_taken_for(tmp_path, valid, remainder):
    data = alac(tmp_path, 10_000, valid=valid, remainder=remainder)

    ideal = (sound(10_000) * 32767).astype(np.int16) / np.float32(32768)
    assert np.array_equal(whole(written(tmp_path, data)), ideal)


def test_what_an_encoder_put_before_the_sound_is_dropped(tmp_path):
    data = alac(tmp_path, 10_000, valid=9000, remainder=288, priming=1000)

    ideal = (sound(10_000) * 32767).astype(np.int16) / np.float32(32768)
    assert np.array_equal(whole(written(tmp_path, data)), ideal[:, 1000:])


def test_alac_in_caf_that_lacks_a_packet_is_cut_off(tmp_path):
    data = alac(tmp_path, 10_000, valid=20_000, remainder=480)

    with pytest.raises(DamagedAudioError):
        whole(written(tmp_path, data))


def with_itunes_comment(data: bytes, delay: int, padding: int, samples: int) -> bytes:
    """An m4a of ours in whose free comment stands iTunes' note of the length."""
    note = f" 00000000 {delay:08X} {padding:08X} {samples:016X} " + "00000000 " * 8
    assert len(note) < 200
    return data.replace(b"N" * 200, note.ljust(200).encode())


def m4a(folder: Path, samples: int) -> bytes:
    """An m4a with room for iTunes' note under the name that it has."""
    path = folder / "made.m4a"
    block = sound(samples)
    with av.open(str(path), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as made:
        made.metadata["iTunSMPB"] = "N" * 200
        stream = made.add_stream("aac", rate=44100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.rate = 44100
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path.read_bytes()


def test_a_stale_note_of_itunes_does_not_count(tmp_path):
    # given a song that was cut to a quarter without being encoded again
    data = with_itunes_comment(m4a(tmp_path, 50_000), 2112, 500, 200_000)

    heard = whole(written(tmp_path, data))

    assert 47_000 <= heard.shape[1] <= 53_000


def test_an_m4a_that_is_cut_off_is_damaged_with_a_stale_note_too(tmp_path):
    data = song(tmp_path, Encoding("m4a"), 100_000).read_bytes()

    with pytest.raises(DamagedAudioError):
        whole(written(tmp_path, data[: len(data) // 2]))
