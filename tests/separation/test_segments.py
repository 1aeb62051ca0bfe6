# The helpers of these tests carry no annotations.
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octet.errors import SettingError
from octet.separation.models.spec import ModelSpec, StftSpec
from octet.separation.segments import Average, Mix, OverlapAdd, Walk, triangle


def spec_of(segment, *, fixed=True, tail=0):
    if tail:
        stft = StftSpec(64, 16, "center", 33)
        return ModelSpec("m", ("a", "b"), 44100, segment, "spectral", stft, tail=tail)
    return ModelSpec("m", ("a", "b"), 44100, segment, "waveform", fixed=fixed)


def join(walk, mix):
    """Runs a network that hands its input on, over a whole walk."""
    adding = OverlapAdd(walk, stems=1)
    blocks = []
    for piece in walk:
        heard = mix.read(piece.run_start, piece.run_length)
        blocks.append(adding.add(piece.trim(heard[None])))
    return blocks


@given(
    samples=st.integers(0, 400),
    segment=st.integers(2, 120),
    overlap=st.floats(0, 0.95),
    lead=st.integers(0, 60),
    fixed=st.booleans(),
    tail=st.integers(0, 2),
)
def test_what_a_network_hands_on_comes_back_as_it_was(
    song_of, samples, segment, overlap, lead, fixed, tail
):
    segment = max(segment, int(1 / (1 - overlap)) + 1)
    song = song_of(samples)
    walk = Walk(spec_of(segment, fixed=fixed, tail=tail), samples, overlap, lead)

    blocks = join(walk, Mix(song, normalize=False))

    assert len(blocks) == len(walk)
    if samples:
        whole = np.concatenate(blocks, axis=-1)
        assert whole.shape == (1, 2, samples)
        assert np.allclose(whole[0], song.audio, atol=1e-6)
    else:
        assert not blocks


def test_a_block_is_given_as_soon_as_no_later_segment_touches_it(song_of):
    song = song_of(1000)
    walk = Walk(spec_of(400), 1000, overlap=0.25)

    blocks = join(walk, Mix(song, normalize=False))

    assert [block.shape[-1] for block in blocks] == [300, 300, 300, 100]


def test_a_short_last_piece_is_heard_in_the_middle_of_its_surroundings():
    walk = Walk(spec_of(400), 1000, overlap=0.25)

    last = list(walk)[-1]

    assert (last.start, last.length) == (900, 100)
    assert (last.run_start, last.run_length) == (750, 400)


def test_a_network_of_any_length_runs_on_the_last_piece_alone():
    walk = Walk(spec_of(400, fixed=False), 1000, overlap=0.25)

    last = list(walk)[-1]

    assert (last.run_start, last.run_length) == (900, 100)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 2.0, 0.999])
def test_an_overlap_that_does_not_move_on_is_refused(overlap):
    with pytest.raises(SettingError, match="overlap"):
        Walk(spec_of(100), 1000, overlap)


def test_weights_rise_and_fall_and_are_never_zero():
    assert triangle(4).tolist() == [0.5, 1, 1, 0.5]
    assert triangle(5) == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    assert triangle(1).tolist() == [1]


def test_a_mix_is_normalised_and_silent_around_the_song(song_of):
    song = song_of(1000)
    mix = Mix(song, normalize=True)

    heard = mix.read(-10, 1020)

    assert not heard[:, :10].any()
    assert not heard[:, -10:].any()
    inside = heard[:, 10:-10].mean(axis=0)
    assert abs(inside.mean()) < 1e-5
    assert inside.std(ddof=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(mix.restore(heard[:, 10:-10]), song.audio, atol=1e-6)


def test_without_its_centre_a_mix_is_scaled_alone(song_of):
    song = song_of(1000)
    mix = Mix(song, normalize=True, center=False)

    heard = mix.read(0, 1000)

    np.testing.assert_allclose(heard * song.deviation, song.audio, rtol=1e-4, atol=1e-7)
    assert not mix.restore(np.zeros((4, 2, 10), np.float32)).any()


@pytest.mark.parametrize(("start", "count"), [(-20, 10), (1000, 10), (2000, 5), (500, 0)])
def test_outside_the_song_there_are_zeros(song_of, start, count):
    heard = Mix(song_of(1000), normalize=True).read(start, count)

    assert heard.shape == (2, count)
    assert not heard.any()


@given(cuts=st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=2, max_size=4))
def test_streams_in_blocks_of_any_length_are_averaged_by_weight(cuts):
    draw = np.random.default_rng(0)
    streams = [draw.standard_normal((2, 2, 100)).astype(np.float32) for _ in cuts]
    weights = draw.uniform(0.5, 2, (len(cuts), 2))
    average = Average(weights)

    given_blocks: list[np.ndarray] = []
    for index, (stream, cut) in enumerate(zip(streams, cuts, strict=True)):
        blocks = np.split(stream, sorted(cut), axis=-1)
        given_blocks.extend(average.add(index, block) for block in blocks)
    whole = np.concatenate(given_blocks, axis=-1)

    shares = (weights / weights.sum(axis=0))[:, :, None, None]
    assert np.allclose(whole, (np.stack(streams) * shares).sum(axis=0), atol=1e-5)


def test_what_lies_behind_a_segment_comes_from_the_song(song_of):
    pieces = list(Walk(spec_of(100, tail=12), 250, overlap=0.5))

    # Whole segments begin where they count, and 12 samples more than they count follow.
    assert [(piece.run_start, piece.run_length) for piece in pieces[:3]] == [
        (0, 112),
        (50, 112),
        (100, 112),
    ]
    # The last, shorter one lies in the middle of what the network was made for.
    assert (pieces[-1].length, pieces[-1].run_start) == (50, 175)
