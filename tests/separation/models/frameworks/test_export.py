"""A converted network against the module that it was made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="needs the extra `models`: pip install torch")

from octet.errors import ModelError  # noqa: E402  # needs torch
from octet.separation.models.frameworks.export import Core, Whole, export  # noqa: E402
from octet.separation.models.spec import ModelSpec, StftSpec  # noqa: E402
from octet.separation.runtimes.network import infer  # noqa: E402
from octet.separation.runtimes.openvino import OpenVinoNetwork  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("one_thread")]


class _Network(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
    """An LSTM of two layers along time, a group norm, and means, as such networks have them."""

    def __init__(self, stems: int) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.norm = torch.nn.GroupNorm(2, 8)
        self.stems = torch.nn.Conv2d(8, 4 * stems, 1)
        self.take = torch.nn.Conv2d(4, 8, 1)

    def forward(self, spec: Any) -> Any:
        batch, _, bins, frames = spec.shape
        x = self.norm(self.take(spec - spec.mean(dim=(1, 2, 3), keepdim=True)))
        rows = x.permute(0, 2, 3, 1).reshape(batch * bins, frames, 8)
        x = x + self.lstm(rows)[0].reshape(batch, bins, frames, 8).permute(0, 3, 1, 2)
        return self.stems(x).unflatten(1, (-1, 4))


def _spec(stems: tuple[str, ...], **options: Any) -> ModelSpec:
    stft = StftSpec(64, 16, "center", **({"bins": 33} | options))
    return ModelSpec("a", stems, 44_100, 1000, "spectral", stft, tail=8, normalize=False)


@pytest.mark.parametrize(
    ("spec", "complement"),
    [
        (_spec(("vocals", "other")), False),
        (_spec(("vocals",), window="rectangular"), True),
        (_spec(("vocals",), bins=20), False),
    ],
)
def test_the_converted_network_equals_the_module(
    tmp_path: Path, spec: ModelSpec, complement: bool
) -> None:
    torch.manual_seed(1)
    network = _Network(len(spec.sources)).eval()
    mix = torch.randn(1, 2, spec.valid_length(spec.segment))
    with torch.no_grad():
        expected = Whole(Core(network, complement=complement), spec)(mix).numpy()

    export(network, spec, tmp_path / "a.onnx", complement=complement)

    actual = infer(OpenVinoNetwork(tmp_path / "a.onnx", spec), mix.numpy())
    assert actual.shape == expected.shape == (1, len(spec.sources), 2, 1008)
    assert np.abs(actual - expected).max() < 1e-5


def test_what_the_estimate_leaves_is_the_song_less_it() -> None:
    spec = _spec(("vocals",))

    class Half(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
        def forward(self, spectrum: Any) -> Any:
            return 0.25 * spectrum[:, None]

    mix = torch.randn(1, 2, 1008)
    vocals = Whole(Core(Half(), complement=True), spec)(mix)
    assert torch.allclose(vocals[:, 0], 0.75 * mix, atol=1e-5)


def test_a_network_that_is_none_on_centred_spectra_is_refused(tmp_path: Path) -> None:
    spec = replace(_spec(("vocals",)), kind="waveform", stft=None, tail=0)

    with pytest.raises(ModelError, match="centred"):
        export(_Network(1), spec, tmp_path / "a.onnx")
