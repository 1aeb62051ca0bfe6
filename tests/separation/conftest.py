from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

RATE = 44100


@dataclass
class ArraySong:
    """A song in memory, read as a recording is."""

    audio: np.ndarray
    rate: int = RATE

    def __post_init__(self):
        mono = self.audio.astype(np.float64).mean(axis=0)
        self.samples = self.audio.shape[-1]
        self.mean = float(mono.mean()) if self.samples else 0.0
        self.deviation = float(mono.std(ddof=1)) if self.samples > 1 else 0.0

    def read(self, start, count):
        assert 0 <= start <= start + count <= self.samples
        return self.audio[:, start : start + count]


def _song(samples, seed=0, rate=RATE):
    """Coloured noise with an offset, stereo."""
    noise = np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)
    noise[:, 1:] += 0.9 * noise[:, :-1]
    return ArraySong(0.1 * noise + np.float32(0.02), rate)


@pytest.fixture(scope="session")
def song_of():
    """Makes a song of so many samples."""
    return _song


@pytest.fixture(scope="session")
def song_from():
    """Makes a song of an array (2, n)."""
    return ArraySong


@pytest.fixture
def one_thread():
    """Threads cost small networks more than they bring, and tests run on all cores anyway."""
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
