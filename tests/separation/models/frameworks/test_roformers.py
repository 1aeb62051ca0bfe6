from __future__ import annotations

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")

from octet.errors import ModelError  # noqa: E402 - after the skip
from tests.separation.models.frameworks.roformer_files import BS, HOP, MEL, N_FFT, build  # noqa: E402


def test_a_file_describes_a_network_and_its_transform() -> None:
    network, spec = build(BS)

    assert {weights.device.type for weights in network.parameters()} == {"meta"}
    assert spec.stft is not None
    assert (spec.stft.n_fft, spec.stft.hop, spec.stft.bins) == (N_FFT, HOP, N_FFT // 2 + 1)
    assert (spec.kind, spec.stft.padding, spec.normalize) == ("spectral", "center", False)
    assert spec.sources == ("vocals", "accompaniment")


@pytest.mark.parametrize(
    ("text", "old", "new", "hidden"),
    [(BS, "mask_estimator_depth: 2", "mask_estimator_depth: 3", 2), (MEL, "dim: 16", "dim: 24", 1)],
)
def test_the_two_kinds_count_the_layers_of_masks_differently(
    text: str, old: str, new: str, hidden: int
) -> None:
    names = build(text.replace(old, new))[0].state_dict()

    assert f"mask_estimators.0.to_freqs.0.0.{2 * hidden}.weight" in names
    assert f"mask_estimators.0.to_freqs.0.0.{2 * hidden + 2}.weight" not in names


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dim: 16", "dim: 1000000000", "dim"),
        ("depth: 1", "depth: 0", "depth"),
        ("heads: 2", "heads: two", "heads"),
        ("[1, 4, 12, 16]", "[1, 4, 12, 15]", "32 frequencies"),
        ("[1, 4, 12, 16]", "[1, 4, 12, 0, 16]", "freqs_per_bands"),
        ("stereo: true", "stereo: false", "one channel"),
        ("linear_transformer_depth: 0", "linear_transformer_depth: 1", "linear attention"),
        (f"stft_win_length: {N_FFT}", "stft_win_length: 32", "windows"),
        ("num_stems: 2", "num_stems: 4", "4 stems"),
        ("heads: 2", "heads: 2\n  use_pope: true", "use_pope"),
        ("heads: 2", "heads: 2\n  num_residual_streams: 4", "num_residual_streams"),
    ],
)
def test_what_octet_does_not_run_is_refused_in_a_line(old: str, new: str, said: str) -> None:
    text = BS.replace(old, new)
    assert text != BS

    with pytest.raises(ModelError, match=said) as refused:
        build(text)
    assert "\n" not in str(refused.value)


def test_flags_of_variants_that_are_off_do_no_harm() -> None:
    build(BS.replace("heads: 2", "heads: 2\n  use_pope: false\n  norm: null"))
