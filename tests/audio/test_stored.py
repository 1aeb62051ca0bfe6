"""Samples in a scratch file: what goes in comes out, with its figures, and nothing is left."""

import numpy as np
import pytest

from octet.audio.stored import StoredSamples
from octet.errors import OutputError


def test_what_is_appended_is_read_in_any_place(tmp_path):
    # given blocks of several lengths
    audio = np.random.default_rng(5).standard_normal((2, 10_001)).astype(np.float32)
    with StoredSamples(44_100, tmp_path) as stored:
        for block in np.split(audio, [7, 7, 5000], axis=1):
            stored.append(block)
        # then any part is as it was, with zeros beyond both ends
        assert np.array_equal(stored.read(4990, 20), audio[:, 4990:5010])
        assert np.array_equal(stored.read(-3, 5), np.pad(audio[:, :2], ((0, 0), (3, 0))))
        assert np.array_equal(np.concatenate([*stored.blocks(999)], axis=1), audio)
        # and mean and deviation are those of the mono mix
        mono = audio.astype(np.float64).mean(axis=0)
        assert stored.samples == 10_001
        assert stored.mean == pytest.approx(mono.mean(), abs=1e-8)
        assert stored.deviation == pytest.approx(mono.std(ddof=1), rel=1e-6)
        assert stored.peak == np.abs(audio).max()
        # and no file is to be seen
        assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(OutputError):
        StoredSamples(44_100, tmp_path / "none")
