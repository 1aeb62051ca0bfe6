from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")

from octet.separation.models.frameworks.bands import mel, side_by_side  # noqa: E402 - after the skip
from octet.separation.models.frameworks.roformer import Roformer, Size  # noqa: E402 - after the skip
from octet.separation.models.spec import StftSpec  # noqa: E402 - after the skip
from octet.separation.stft import Stft  # noqa: E402 - after the skip
from tests.separation.models.frameworks.roformer_reference import separate  # noqa: E402 - after the skip

N_FFT, HOP, SAMPLES = 128, 32, 32 * 40
APART = side_by_side([1] * 5 + [4] * 7 + [16, 16], N_FFT)
OVERLAPPING = mel(9, N_FFT, 44_100)
SIZE = Size(16, 2, 2, heads=2, head=8, time_layers=1, band_layers=2)
MEL = replace(SIZE, norms=True, mask_layers=2)


def lively(network: Any, seed: int = 0) -> Any:
    """Seeded weights with which every part is heard in the result."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if name.endswith("gamma"):
                weights.add_(torch.randn_like(weights) * 0.3)
            elif not name.endswith("freqs"):
                weights.copy_(torch.randn_like(weights) * 1.5 / weights.shape[-1] ** 0.5)
    return network.eval()


def of_music(network: Any) -> tuple[np.ndarray, np.ndarray]:
    """A mix (2, n), and its stems by the network between Octet's transforms."""
    time = np.arange(SAMPLES)
    draw = np.random.default_rng(1)
    mix = np.stack([np.sin(time * 0.3), np.sin(time * 0.05)]) * 0.3 + draw.normal(
        0, 0.1, (2, SAMPLES)
    )
    stft = Stft(StftSpec(N_FFT, HOP, "center", N_FFT // 2 + 1))
    mix = mix.astype(np.float32)
    with torch.inference_mode():
        spectra = network(torch.from_numpy(stft.forward(mix[None])))
    return mix, stft.inverse(spectra.numpy(), SAMPLES)[0]


@pytest.mark.parametrize(
    ("size", "bands"),
    [(SIZE, APART), (MEL, OVERLAPPING), (replace(MEL, depth=3, skips=True), OVERLAPPING)],
    ids=["bs", "mel", "skips"],
)
def test_a_network_is_what_the_papers_describe(size: Size, bands: Any) -> None:
    network = lively(Roformer(size, bands))
    places = np.cumsum([0, *bands.widths])
    members = [bands.seen[a:b] for a, b in pairwise(places)]

    mix, stems = of_music(network)

    state = network.state_dict()
    wanted = separate(
        state,
        torch.from_numpy(mix),
        members,
        heads=size.heads,
        n_fft=N_FFT,
        hop=HOP,
        skips=size.skips,
    ).numpy()
    assert np.abs(wanted).max() > 0.01
    assert np.linalg.norm(stems - wanted) < 1e-5 * np.linalg.norm(wanted)


def test_nothing_is_left_at_0_hz_where_a_network_was_trained_so() -> None:
    network = lively(Roformer(SIZE, APART, silent_dc=True))
    spectra = torch.randn(1, 4, N_FFT // 2 + 1, 9)

    with torch.inference_mode():
        stems = network(spectra)

    assert not stems[..., 0, :].any()
    assert stems[..., 1, :].any()


def test_silence_stays_silence() -> None:
    network = lively(Roformer(SIZE, APART))

    with torch.inference_mode():
        stems = network(torch.zeros(1, 4, N_FFT // 2 + 1, 9))

    assert stems.isfinite().all()
    assert not stems.any()


def test_the_scale_of_a_spectrum_does_not_matter() -> None:
    # Given a network whose YAML leaves the transform unscaled, and Octet's unitary one,
    network = lively(Roformer(MEL, OVERLAPPING))
    spectra = torch.randn(1, 4, N_FFT // 2 + 1, 9)

    with torch.inference_mode():
        loud, soft = network(64 * spectra), network(spectra)

    # then the stems differ by that scale alone.
    assert torch.allclose(loud, 64 * soft, rtol=1e-4, atol=1e-4)


def test_weights_have_the_names_of_published_checkpoints() -> None:
    names = set(Roformer(SIZE, APART).state_dict())
    assert {
        "band_split.to_features.0.0.gamma",
        "band_split.to_features.0.1.weight",
        "layers.1.1.layers.1.0.rotary_embed.freqs",
        "layers.1.1.layers.1.0.to_gates.bias",
        "layers.0.0.layers.0.0.to_qkv.weight",
        "layers.0.0.layers.0.0.to_out.0.weight",
        "layers.0.0.layers.0.1.net.4.bias",
        "final_norm.gamma",
        "mask_estimators.1.to_freqs.13.0.2.weight",
    } < names
    assert "layers.0.0.norm.gamma" not in names

    names = set(Roformer(MEL, OVERLAPPING).state_dict())
    assert {"layers.0.1.norm.gamma", "mask_estimators.0.to_freqs.8.0.4.bias"} < names
    assert "final_norm.gamma" not in names
