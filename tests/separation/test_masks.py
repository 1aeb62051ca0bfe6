from __future__ import annotations

from typing import Any

import numpy as np

from octet.separation.masks import Masking
from octet.separation.models.spec import ModelSpec, StftSpec
from octet.separation.segments import FrameAdd, FrameWalk, Mix

STFT = StftSpec(n_fft=64, hop=16, padding="none", bins=20)
FRAMES = 8
SPEC = ModelSpec(
    "m", ("a", "b"), 44_100, 7 * 16 + 64, "mask", stft=STFT, overlap=0.0, normalize=False
)


def test_masks_are_of_squares_and_above_the_bins_their_mean() -> None:
    random = np.random.default_rng(0)
    shares = random.random((2, 3, 20), np.float32)
    magnitudes = random.random((3, 20), np.float32)

    masks = Masking(STFT).masks(shares, magnitudes)

    squares = (shares.astype(np.float64) * magnitudes) ** 2
    wanted = (squares + 0.5e-10) / (squares.sum(axis=0) + 1e-10)
    assert np.allclose(masks[..., :20], wanted, atol=1e-6)
    assert np.allclose(masks[..., 20:], wanted.mean(axis=-1, keepdims=True), atol=1e-6)


def test_in_silence_the_masks_are_equal() -> None:
    masks = Masking(STFT).masks(np.ones((4, 3, 20), np.float32), np.zeros((3, 20), np.float32))

    assert np.allclose(masks, 0.25)


def test_stems_on_one_grid_of_frames_sum_to_any_song_at_any_overlap(song_of: Any) -> None:
    masking, random = Masking(STFT), np.random.default_rng(1)
    for samples in (1, 15, 64, 111, 112, 113, 500, 1000):
        song = song_of(max(samples, 2))
        for overlap in (0.0, 0.25, 0.5, 0.8):
            walk = FrameWalk(SPEC, song.samples, overlap, lead=samples % 7)
            adding, mix, blocks = FrameAdd(walk, stems=2), Mix(song, normalize=False), []
            for piece in walk:
                assert piece.fade is not None
                spectra = masking.spectra(mix.read(piece.run_start, piece.run_length)[None])
                shares = random.random((1, 2, 2, FRAMES, 20), np.float32)
                stems = masking.stems(shares, spectra, piece.fade[None])
                blocks.append(adding.add(stems[0]))
            whole = np.concatenate(blocks, axis=-1)
            assert whole.shape == (2, 2, song.samples)
            assert np.allclose(whole.sum(axis=0), song.audio, atol=1e-6)
