from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.audiofile import single
from training.mixer import Mixer, example_length
from training.pool import Pool, save_clip
from training.settings import RATE, STEMS, Mixing

COUNT = example_length(4096, 1024, 20)
CLEAN = replace(Mixing(), clip=0.0, codec=0.0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """One song of four stems, and a loose clip of voice; every stem a tone of its own."""
    folder = tmp_path_factory.mktemp("pool")
    time = np.arange(2 * RATE, dtype=np.float32) / np.float32(RATE)
    for number, stem in enumerate(STEMS, 1):
        tone = single(0.3 * np.sin(2 * np.pi * 200 * number * time))
        save_clip(folder, "music", "one", stem, "whole", single([tone, 0.5 * tone]))
        save_clip(folder, "music", "one", stem, "part", single([0.5 * tone, tone]))
    save_clip(folder, "samples", "shouts", "vocals", "phrases", single([tone, tone])[:, :9000])
    return Pool.listed(folder)


def test_the_pool_knows_what_sounds_together(pool):
    assert set(pool.songs) == {"music"}
    assert {frozenset(song) for song in pool.songs["music"]} == {frozenset(STEMS)}
    assert len(pool.clips["samples"]["vocals"]) == 1
    assert len(pool) == 5


def test_the_same_state_gives_the_same_example(pool):
    one, other = (Mixer(pool, Mixing(), COUNT).example(np.random.default_rng(8)) for _ in "12")

    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_stems_sum_to_the_mix_where_nothing_distorts_it(pool):
    mixer = Mixer(pool, CLEAN, COUNT)
    for seed in range(12):
        stems, mix = mixer.example(np.random.default_rng(seed))

        assert stems.shape == (4, 2, COUNT)
        assert stems.dtype == mix.dtype == np.float32
        np.testing.assert_allclose(stems.sum(axis=0), mix, atol=2e-5 * np.abs(mix).max() + 1e-6)


def test_examples_are_about_as_loud_as_a_normalised_song(pool):
    mixer = Mixer(pool, replace(CLEAN, level_db=0.0), COUNT)
    deviations = [mixer.example(np.random.default_rng(s))[1].mean(axis=0).std() for s in range(12)]

    np.testing.assert_allclose([d for d in deviations if d > 1e-3], 1.0, rtol=1e-3)


def test_a_mono_mix_has_equal_channels(pool):
    mixer = Mixer(pool, replace(CLEAN, mono=1.0), COUNT)

    stems, _ = mixer.example(np.random.default_rng(1))

    np.testing.assert_array_equal(stems[:, 0], stems[:, 1])


def test_silent_stems_are_silent(pool):
    silent = tuple((stem, 1.0) for stem in STEMS)
    mixer = Mixer(pool, replace(CLEAN, silent=silent, together=0.0), COUNT)

    stems, mix = mixer.example(np.random.default_rng(1))

    assert not stems.any()
    assert not mix.any()


def test_a_song_may_lack_its_voice(pool):
    absent = tuple((stem, float(stem == "vocals")) for stem in STEMS)
    mixer = Mixer(pool, replace(CLEAN, absent=absent, together=1.0), COUNT)

    stems, mix = mixer.example(np.random.default_rng(1))

    sounding = {stem: bool(stems[i].any()) for i, stem in enumerate(STEMS)}
    assert sounding == {stem: stem != "vocals" for stem in STEMS}
    np.testing.assert_allclose(stems.sum(axis=0), mix, atol=1e-4)


def test_a_voice_that_is_drawn_alone_has_weights_of_its_own(pool):
    always = tuple((stem, 0.0) for stem in STEMS)
    mixing = replace(CLEAN, silent=always, together=0.0)

    usual, _ = Mixer(pool, mixing, COUNT).example(np.random.default_rng(1))
    nowhere, _ = Mixer(pool, replace(mixing, voices=()), COUNT).example(np.random.default_rng(1))

    assert all(stem.any() for stem in usual)
    assert [stem.any() for stem in nowhere] == [name != "vocals" for name in STEMS]


def test_an_empty_pool_gives_silence_not_an_error(tmp_path):
    mixer = Mixer(Pool.listed(tmp_path), CLEAN, COUNT)

    stems, _ = mixer.example(np.random.default_rng(1))

    assert not stems.any()


def test_a_distorted_mix_leaves_the_stems_alone(pool):
    rng_state = 5
    clean, _ = Mixer(pool, replace(Mixing(), clip=0.0, codec=0.0), COUNT).example(
        np.random.default_rng(rng_state)
    )
    stems, mix = Mixer(pool, replace(Mixing(), clip=0.0, codec=1.0), COUNT).example(
        np.random.default_rng(rng_state)
    )

    scale = np.abs(stems).max() / np.abs(clean).max()
    np.testing.assert_allclose(stems, clean * scale, atol=1e-3)
    error = mix - stems.sum(axis=0)
    assert 0 < np.square(error).sum() < 0.1 * np.square(mix).sum()
