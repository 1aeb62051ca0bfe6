# The helpers of these tests carry no annotations.
from __future__ import annotations

import time

import numpy as np
import pytest

from octet.separation.models.spec import StftSpec
from octet.separation.stft import Stft, reflect

TOLERANCE = 2e-6  # float32's rounding, a few operations long, for signals of unit deviation


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(1, np.abs(theirs).max())


def demucs_network(kind, n_fft, **options):
    """Demucs' own transforms, as methods of a network too small to matter."""
    module = pytest.importorskip(f"demucs.{kind.lower()}", reason="needs the extra `demucs`")
    return getattr(module, kind)(["a", "b"], channels=8, nfft=n_fft, depth=2, **options)


@pytest.mark.demucs
@pytest.mark.parametrize("length", [1, 5, 100, 191, 192, 193, 256, 1000, 5121])
@pytest.mark.parametrize(
    ("kind", "old", "padding"),
    [
        ("HDemucs", False, "demucs"),
        ("HDemucs", True, "demucs-old"),
        ("HTDemucs", None, "demucs"),
    ],
)
def test_both_directions_equal_demucs(kind, old, padding, length):
    import torch

    options = {"t_layers": 0} if old is None else {"hybrid_old": old}
    network = demucs_network(kind, 512, **options)
    stft = Stft(StftSpec(n_fft=512, hop=128, padding=padding, bins=256))
    mix = noise(2, 2, length)

    spectra = stft.forward(mix)

    expected = network._magnitude(network._spec(torch.from_numpy(mix)))
    assert_close(spectra, expected.numpy())

    estimates = noise(2, 2, *spectra.shape[1:])
    stems = stft.inverse(estimates, length)

    complex_estimates = network._mask(None, torch.from_numpy(estimates))
    assert_close(stems, network._ispec(complex_estimates, length).numpy())


@pytest.mark.demucs
@pytest.mark.parametrize("shape", ["hann", "rectangular"])
@pytest.mark.parametrize("hop", [64, 128, 256])
def test_centred_frames_equal_those_of_torch(hop, shape):
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    stft = Stft(StftSpec(n_fft=512, hop=hop, padding="center", bins=257, window=shape))
    mix = noise(1, 2, 3000)
    window = torch.hann_window(512) if shape == "hann" else torch.ones(512)

    spectra = stft.forward(mix)

    theirs = torch.stft(
        torch.from_numpy(mix[0]), 512, hop, window=window, normalized=True, return_complex=True
    )
    assert_close(spectra[0, 0::2], theirs.real.numpy())
    assert_close(spectra[0, 1::2], theirs.imag.numpy())

    again = stft.inverse(spectra[:, None], 3000)[0, 0]

    expected = torch.istft(theirs, 512, hop, window=window, normalized=True, length=3000)
    assert_close(again, expected.numpy())


@pytest.mark.parametrize(("padding", "edge"), [("demucs", 384), ("center", 0)])
@pytest.mark.parametrize("length", [1, 700, 4096, 10_000])
def test_the_inverse_undoes_the_transform(padding, edge, length):
    # Demucs leaves out the frames that reach over the edges, and lives without them there.
    stft = Stft(StftSpec(n_fft=1024, hop=256, padding=padding, bins=513))
    mix = noise(1, 2, length)

    spectra = stft.forward(mix)
    again = stft.inverse(spectra[:, None], length)

    assert spectra.shape == (1, 4, 513, stft.frames(length))
    inside = slice(edge, length - edge)
    assert np.abs(again[:, 0] - mix)[..., inside].max(initial=0) < 1e-5


def test_frequencies_that_the_network_does_not_see_come_back_as_silence():
    stft = Stft(StftSpec(n_fft=1024, hop=256, padding="demucs", bins=64))
    seconds = np.arange(8192) / 44100
    low, high = (np.sin(2 * np.pi * hertz * seconds) for hertz in (1000, 9000))
    mix = np.stack([low + high, low + high])[None].astype(np.float32)

    again = stft.inverse(stft.forward(mix)[:, None], 8192)

    middle = slice(2048, 6144)
    assert np.abs(again[0, 0, 0] - low)[middle].max() < 1e-2


def test_a_signal_too_short_for_a_mirror_gets_zeros_first():
    assert reflect(np.array([1, 2, 3], np.float32), 3, 3).tolist() == [0, 3, 2, 1, 2, 3, 0, 3, 2]


def test_all_stays_in_single_precision():
    stft = Stft(StftSpec(n_fft=512, hop=128, padding="demucs", bins=256))

    spectra = stft.forward(noise(1, 2, 1000))

    assert spectra.dtype == np.float32
    assert stft.inverse(spectra[:, None], 1000).dtype == np.float32


def test_a_segment_of_demucs_takes_a_small_part_of_a_second():
    stft = Stft(StftSpec(n_fft=4096, hop=1024, padding="demucs", bins=2048))
    segment = noise(1, 2, 343_980)
    stft.inverse(stft.forward(segment)[:, None], segment.shape[-1])  # builds what is kept

    started = time.thread_time()
    spectra = stft.forward(segment)
    stft.inverse(np.repeat(spectra[:, None], 4, axis=1), segment.shape[-1])

    assert time.thread_time() - started < 1.0
