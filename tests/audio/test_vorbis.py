from __future__ import annotations

import numpy as np
import pytest
import soundfile

from octet.audio.decode import probe
from octet.audio.song import Cover
from octet.audio.vorbis import quality
from octet.formats import Encoding
from tests.audio.pictures import jpeg
from tests.audio.waves import encoded, sound, whole


@pytest.mark.parametrize(
    ("rate", "bitrate", "meant"),
    [(44100, 64, 0.0), (44100, 256, 0.8), (48000, 500, 1.0), (44100, 208, 0.65), (22050, 64, 0.4)],
)
def test_a_bit_rate_is_a_quality_of_libvorbis(rate, bitrate, meant):
    assert quality(rate, bitrate) == pytest.approx(meant)


def test_a_higher_bit_rate_makes_a_larger_and_better_file(tmp_path):
    block = sound(100_000)

    made = [
        encoded(tmp_path / f"{rate}.ogg", block, Encoding("ogg", bitrate=rate))
        for rate in (64, 128, 256, 500)
    ]

    sizes, residuals = [one.bytes for one in made], [one.residual_db or 0.0 for one in made]
    assert sizes == sorted(sizes)
    assert residuals == sorted(residuals, reverse=True)


@pytest.mark.parametrize("samples", [1, 575, 1152, 1153, 3000, 100_003])
def test_libvorbis_itself_reads_the_very_same(tmp_path, samples):
    path = tmp_path / "track.ogg"
    encoded(path, sound(samples), Encoding("ogg"))

    theirs, rate = soundfile.read(path, dtype="float32")

    assert (theirs.shape, rate) == ((samples, 2), 44100)
    assert np.allclose(whole(path), theirs.T, atol=1e-5)


def test_a_cover_that_takes_many_pages_is_carried_over(tmp_path):
    path = tmp_path / "track.ogg"
    cover = Cover(jpeg(300, 200) + bytes(200_000), "image/jpeg")

    encoded(path, sound(50_000), Encoding("ogg"), cover=cover, tags={"album_artist": "Band"})

    assert probe(path).cover == cover
    assert probe(path).tags == {"album_artist": "Band"}
    assert whole(path).shape == (2, 50_000)
    assert soundfile.info(path).frames == 50_000


def test_the_same_sound_makes_the_same_file(tmp_path):
    first, second = (
        encoded(tmp_path / name, sound(30_000), Encoding("ogg")) for name in ("a.ogg", "b.ogg")
    )

    assert first.sha256 == second.sha256
