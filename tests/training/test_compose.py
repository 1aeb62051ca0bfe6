from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.servers import missing
from training.compose import Piece, Studio
from training.settings import Rendering


@pytest.fixture
def studio(tmp_path):
    """Two songs and one bass to compose, without recorded sounds."""
    if shutil.which("espeak-ng") is None:
        missing("no espeak-ng here: apt-get install espeak-ng")
    settings = replace(Rendering(), songs=2, struck=1, bars=(4, 6), spoken=1)
    return Studio(settings, tmp_path / "samples", None, tmp_path / "pool")


def clips(studio):
    """Every clip of the pool, by its place there."""
    paths = sorted(studio.pool.glob("*/*/*/*.npy"))
    return {str(path.relative_to(studio.pool)): np.load(path) for path in paths}


def test_two_processes_compose_what_one_does(studio, tmp_path):
    # given the same pieces to compose, in another pool
    alone = replace(studio, pool=tmp_path / "alone" / "pool")
    # when two processes share the work there, and one does it all here
    studio.compose(2)
    alone.play(alone.pieces())
    # then both pools hold the same, and nothing is left to do
    ours, theirs = clips(studio), clips(alone)
    assert {place.split("/")[1] for place in ours} == {"song-7-0000", "song-7-0001", "bass-7-0000"}
    assert ours.keys() == theirs.keys()
    for place, clip in ours.items():
        np.testing.assert_array_equal(clip, theirs[place])
    assert studio.pieces() == []


def test_a_piece_that_was_cut_off_is_composed_anew(studio):
    # given a song of which one stem was written before the process was killed
    broken = studio.pool.with_name("making") / "render" / "song-7-0001" / "drums"
    broken.mkdir(parents=True)
    (broken / "song.npy").write_bytes(b"half")
    # then it counts as missing
    assert Piece(7, "render", 1) in studio.pieces()
    # and when it is composed it is whole
    studio.play([Piece(7, "render", 1)])
    assert {place.split("/")[2] for place in clips(studio)} >= {"drums", "bass", "vocals"}
