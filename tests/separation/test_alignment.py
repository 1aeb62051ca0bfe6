from __future__ import annotations

import numpy as np
import pytest

from octet.separation.alignment import align


def blocks_of(stems: np.ndarray, length: int) -> list[np.ndarray]:
    return [stems[..., at : at + length] for at in range(0, stems.shape[-1], length)]


def test_at_the_songs_own_rate_nothing_changes() -> None:
    stems = np.random.default_rng(0).standard_normal((3, 2, 5000)).astype(np.float32)

    aligned = np.concatenate(list(align(iter(blocks_of(stems, 700)), 44100, 44100, 5000)), axis=-1)

    assert np.array_equal(aligned, stems)


@pytest.mark.parametrize("samples", [4999, 5001])
def test_the_length_is_the_songs(samples: int) -> None:
    stems = np.ones((3, 2, 5000), np.float32)

    aligned = np.concatenate(list(align(iter([stems]), 44100, 44100, samples)), axis=-1)

    assert aligned.shape == (3, 2, samples)
    assert aligned[..., :4999].all()
    assert not aligned[..., 5000:].any()


def test_another_rate_comes_back_in_place() -> None:
    # Given stems at 44.1 kHz of a song at 48 kHz,
    def tone(rate: int) -> np.ndarray:
        wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        return np.broadcast_to(wave, (2, 2, rate)).astype(np.float32)

    # when they are aligned, then each sample lies where it does in the song.
    stems = blocks_of(tone(44100), 10_000)
    aligned = np.concatenate(list(align(iter(stems), 44100, 48000, 48000)), axis=-1)
    assert aligned.shape == (2, 2, 48000)
    assert np.allclose(aligned[..., 1000:-1000], tone(48000)[..., 1000:-1000], atol=1e-3)
