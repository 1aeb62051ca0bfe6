from __future__ import annotations

import numpy as np
import pytest

from octet.errors import ModelDamagedError
from octet.separation.models.frameworks.bands import Bands, mel, side_by_side


def test_bands_side_by_side_hold_every_frequency_once() -> None:
    bands = side_by_side([2, 3, 4], 16)

    assert bands.seen == list(range(9))
    assert bands.widths == [2, 3, 4]
    assert bands.apart


def test_bands_of_another_transform_are_refused() -> None:
    with pytest.raises(ModelDamagedError, match=r"9 frequencies.*1024 has 513"):
        side_by_side([2, 3, 4], 1024)


def test_the_published_bank_of_sixty_bands() -> None:
    # What librosa 0.11's bank is above zero, at 44.1 kHz and frames of 2048.
    bands = mel(60, 2048, 44_100)

    starts = np.cumsum([0, *bands.widths])
    first = [bands.seen[start] for start in starts[:-1]]
    last = [bands.seen[end - 1] for end in starts[1:]]
    assert first[:6] == [0, 4, 7, 10, 13, 16]
    assert last[:6] == [6, 9, 12, 15, 18, 21]
    assert (first[-3:], last[-3:]) == ([782, 836, 895], [894, 957, 1024])
    assert not bands.apart


def test_what_overlapping_bands_say_is_averaged() -> None:
    # Given bands of which two see the third frequency,
    bands = Bands([[0, 1, 2], [2, 3]], 4)

    # then its two places count a half each, and all others one.
    values = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
    means = (values[np.array(bands.places)] * bands.shares).sum(axis=0)
    assert means.tolist() == [1, 2, 4, 8]


@pytest.mark.parametrize(
    "members", [[[0, 1], [3]], [[0, 1, 2, 3], []]], ids=["a gap", "an empty one"]
)
def test_bands_that_hold_too_little_are_refused(members: list[list[int]]) -> None:
    with pytest.raises(ModelDamagedError, match="2 bands do not hold 4 frequencies"):
        Bands(members, 4)


def test_a_bank_finer_than_the_transform_is_refused() -> None:
    with pytest.raises(ModelDamagedError, match="400 bands"):
        mel(400, 1024, 44_100)
