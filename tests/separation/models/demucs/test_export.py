from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `demucs`: pip install torch")

import torch
from demucs.apply import apply_model

from octet.errors import ModelError
from octet.separation.models.cache import sha256_of, silent
from octet.separation.models.demucs.convert import convert
from octet.separation.models.demucs.export import describe, export
from octet.separation.models.onnx import read_spec
from octet.separation.models.spec import About
from tests.separation.models.demucs.files import (
    HDEMUCS_SEGMENT,
    RATE,
    hdemucs,
    music,
    relative_error,
    small_hdemucs,
    tiny_demucs,
    tiny_hdemucs,
    tiny_htdemucs,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.separation.models.demucs.conftest import Checkpoints

# A conversion is traced in Python: seconds on an idle machine, minutes on a busy one.
pytestmark = [
    pytest.mark.demucs,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(900),
]

EXACT = 1e-5
"""Relative: what float32 leaves, with sums taken in another order."""


class Converted:
    """A converted network in OpenVINO, in float32, with Demucs' own transform around it."""

    def __init__(
        self, checkpoints: Checkpoints, name: str, network: Any, segment: float | None = None
    ) -> None:
        import openvino

        self.original = network
        checkpoint, about = checkpoints.write(name, network), About(name, "", "", segment)
        path, self.spec = convert(
            checkpoint,
            checkpoints.cache,
            sha256_of(checkpoint),
            about,
            trust_checkpoint=False,
            report=silent,
        )
        assert self.spec == describe(network, about)
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        self._run = openvino.Core().compile_model(path, "CPU", hint)

    def stems(self, mix: np.ndarray) -> np.ndarray:
        """(2, n) -> (S, 2, n)."""
        wave = torch.from_numpy(mix)[None]
        if self.spec.kind == "waveform":
            return np.asarray(self._run({"mix": wave.numpy()})["wave"])[0]  # type: ignore[no-any-return]  # untyped
        original = self.original
        spectrum = original._magnitude(original._spec(wave))
        result = self._run({"spec": spectrum.numpy(), "mix": wave.numpy()})
        estimate = original._mask(None, torch.from_numpy(result["spec_out"]))
        back = original._ispec(estimate, mix.shape[-1])
        stems: np.ndarray = (back + torch.from_numpy(result["wave"]))[0].numpy()
        return stems

    def expected(self, mix: np.ndarray) -> np.ndarray:
        """What the network itself gives."""
        with torch.no_grad():
            result: np.ndarray = self.original(torch.from_numpy(mix)[None])[0].numpy()
            return result


@pytest.fixture(scope="module")
def hybrid(checkpoints: Checkpoints) -> Converted:
    return Converted(checkpoints, "hdemucs", small_hdemucs(), HDEMUCS_SEGMENT)


@pytest.fixture(scope="module")
def waveform(checkpoints: Checkpoints) -> Converted:
    return Converted(checkpoints, "demucs", tiny_demucs())


def test_htdemucs_is_converted_for_its_training_length(checkpoints: Checkpoints) -> None:
    converted = Converted(checkpoints, "htdemucs", tiny_htdemucs())

    assert converted.spec.fixed
    assert converted.spec.segment == 2 * RATE
    assert converted.spec.kind == "hybrid"
    mix = music(2)
    assert relative_error(converted.stems(mix), converted.expected(mix)) < EXACT


def test_a_bag_can_shorten_the_segment_of_htdemucs_but_not_lengthen_it() -> None:
    network = tiny_htdemucs()

    def segment(seconds: float) -> int:
        return describe(network, About("", segment=seconds)).segment

    assert segment(1.3) == int(1.3 * RATE)
    assert segment(10) == 2 * RATE


# The LSTMs of the two innermost layers frame their input beyond 200 steps of 1024 and of 2048
# samples: 4.64 s and 9.29 s. Around these lengths, the paths through Demucs' code change.
@pytest.mark.parametrize("seconds", [0.06, 0.5, 3, 4.63, 4.65, 6.98, 9.28, 9.3, 13.1])
def test_hdemucs_is_exact_at_every_length(hybrid: Converted, seconds: float) -> None:
    mix = music(seconds)

    stems = hybrid.stems(mix)

    assert stems.shape == (4, 2, mix.shape[-1])
    assert relative_error(stems, hybrid.expected(mix)) < EXACT


@pytest.mark.parametrize("samples", [4096, 102_400, 102_401, 102_403, 102_407, 103_423])
def test_hdemucs_is_exact_whatever_the_strides_leave_over(hybrid: Converted, samples: int) -> None:
    mix = music(3)[:, :samples]

    assert relative_error(hybrid.stems(mix), hybrid.expected(mix)) < EXACT


def test_the_networks_hear_their_input(hybrid: Converted) -> None:
    # Otherwise the comparisons here would compare biases. The two songs share their beat and
    # their voice.
    one, other = hybrid.expected(music(3)), hybrid.expected(music(3, seed=1))

    assert relative_error(one, other) > 0.2


def test_the_old_padding_of_hdemucs_is_described() -> None:
    spec = describe(tiny_hdemucs(hybrid_old=True), About("", segment=44))

    assert spec.stft is not None
    assert spec.stft.padding == "demucs-old"
    assert spec.segment == 44 * RATE
    assert not spec.fixed


@pytest.mark.parametrize("seconds", [1, 6.5, 11])
def test_the_waveform_network_is_exact_at_every_valid_length(
    waveform: Converted, seconds: float
) -> None:
    length = waveform.spec.valid_length(int(seconds * RATE))
    assert length == waveform.original.valid_length(int(seconds * RATE))
    mix = music(seconds + 1)[:, :length]

    assert relative_error(waveform.stems(mix), waveform.expected(mix)) < EXACT


def test_conversion_leaves_the_package_demucs_as_it_was(tmp_path: Path) -> None:
    # Given that a waveform network was converted, which replaces functions meanwhile,
    network = tiny_demucs(depth=1)
    spec = describe(network, About("tiny", "CC0-1.0", "a test"))
    export(network, spec, tmp_path / "a.onnx")
    assert read_spec(tmp_path / "a.onnx") == spec

    # when Demucs runs itself, then it still does so.
    mix = torch.from_numpy(music(1))[None]
    with torch.no_grad():
        assert apply_model(tiny_demucs(), mix, shifts=0).shape == (1, 4, 2, mix.shape[-1])


@pytest.mark.parametrize("changes", [{"cac": False}, {"hybrid": False}])
def test_variants_without_an_equivalent_are_refused(changes: dict[str, bool]) -> None:
    network = hdemucs(channels=4, **changes)

    with pytest.raises(ModelError, match="cannot be converted"):
        describe(network, About("odd"))
