from __future__ import annotations

import numpy as np
import pytest

from training.composer import Composer
from training.effects import loudness
from training.renderer import Renderer
from training.settings import STEMS


@pytest.fixture(scope="module")
def rendered():
    """A song of four bars played twice from one seed, by the synthesisers alone."""

    def play():
        rng = np.random.default_rng(21)
        song = Composer(rng, bars=4, style="soul").song()
        return Renderer().stems(song, rng)

    return play(), play()


def test_the_same_seed_sounds_the_same(rendered):
    first, second = rendered

    for stem in STEMS:
        np.testing.assert_array_equal(first[stem], second[stem])


def test_every_stem_sounds_and_all_have_one_length(rendered):
    stems, _ = rendered

    assert len({audio.shape for audio in stems.values()}) == 1
    for stem in STEMS:
        assert stems[stem].dtype == np.float32
        assert np.isfinite(stems[stem]).all()
        assert loudness(stems[stem]) > 1e-3, stem


def test_the_stems_sum_to_a_mix_below_full_scale(rendered):
    stems, _ = rendered

    assert np.abs(sum(stems.values())).max() == pytest.approx(0.9, abs=1e-4)


def test_a_struck_bass_sounds_alone():
    rng = np.random.default_rng(2)

    stems = Renderer().stems(Composer(rng, bars=4).struck_bass(), rng)

    assert {stem for stem in STEMS if stems[stem].any()} == {"bass"}
    spectrum = np.abs(np.fft.rfft(stems["bass"][0])) ** 2
    hertz = np.fft.rfftfreq(stems["bass"].shape[1], 1 / 44100)
    assert spectrum[hertz < 250].sum() > 0.5 * spectrum.sum()
