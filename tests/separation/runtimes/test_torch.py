# The helpers of these tests carry no annotations.
from __future__ import annotations

import logging

import numpy as np
import pytest

from octet.errors import DeviceError
from octet.separation.models.spec import ModelSpec
from octet.separation.runtimes.network import infer

torch = pytest.importorskip("torch", reason="needs the extra `demucs`")

from octet.separation.runtimes.torch import (  # noqa: E402  # it imports torch
    TorchNetwork,
    gpu_precision,
    gpus,
)

pytestmark = pytest.mark.demucs

SPEC = ModelSpec("m", ("a", "b"), 44100, 1000, "waveform")


class Quarters(torch.nn.Module):  # type: ignore[misc, name-defined]  # importorskip has no type
    """Stems of a quarter and three quarters of the mix."""

    def __init__(self):
        super().__init__()
        self.shares = torch.nn.Parameter(torch.tensor([0.25, 0.75]).reshape(1, 2, 1, 1))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, mix):
        return self.dropout(mix[:, None] * self.shares)


def noise(batch):
    return np.random.default_rng(0).standard_normal((batch, 2, 1000)).astype(np.float32)


def test_a_module_is_evaluated_and_needs_no_gradients():
    mix = noise(3)

    stems = infer(TorchNetwork(Quarters(), SPEC), mix)

    assert stems.dtype == np.float32
    assert np.allclose(stems[:, 0], 0.25 * mix)
    assert np.allclose(stems[:, 1], 0.75 * mix)


def test_a_batch_too_large_for_the_memory_is_halved_until_it_fits(caplog):
    tried = []

    def greedy(mix):
        tried.append(len(mix))
        if len(mix) > 2:
            raise torch.OutOfMemoryError("full")
        return mix[:, None].repeat(1, 2, 1, 1)

    network = TorchNetwork(greedy, SPEC, batch=8)
    mix = noise(8)

    with caplog.at_level(logging.WARNING):
        stems = infer(network, mix)

    assert tried == [8, 4, 2, 2, 2, 2]
    assert np.array_equal(stems[:, 0], mix)
    assert network.batch == 2
    assert "Out of memory" in caplog.text


def test_a_segment_too_large_for_the_memory_is_a_device_error():
    def full(mix):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(DeviceError, match="does not hold one segment"):
        infer(TorchNetwork(full, SPEC, batch=8), noise(8))


def test_half_precision_computes_in_bf16_and_gives_float32():
    seen = []

    def product(mix):
        out = mix[..., None] @ torch.ones(1, 1)
        seen.append(out.dtype)
        return out[..., 0][:, None].repeat(1, 2, 1, 1)

    stems = infer(TorchNetwork(product, SPEC, precision="bf16"), noise(1))

    assert seen == [torch.bfloat16]
    assert stems.dtype == np.float32


def test_the_same_module_computes_exactly_what_fp16_cannot_hold():
    def product(mix):
        large = mix[..., None] * 1000 @ torch.full((1, 1), 1000.0)
        return large[..., 0][:, None].repeat(1, 2, 1, 1)

    network = TorchNetwork(product, SPEC, precision="fp16")

    assert not np.isfinite(infer(network, noise(1))).all()
    assert np.allclose(infer(network.exact(), noise(1))[:, 0], noise(1) * 1e6)


def test_a_gpu_computes_in_fp16_unless_asked_otherwise():
    assert gpu_precision("cuda", "auto") == "fp16"
    assert gpu_precision("mps", "fp32") == "fp32"
    with pytest.raises(DeviceError, match="bf16"):
        gpu_precision("mps", "bf16")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gpu_gives_what_the_processor_gives(precision):
    if "cuda" not in gpus():
        pytest.skip("no NVIDIA GPU with CUDA here")
    mix = noise(5)

    stems = infer(TorchNetwork(Quarters(), SPEC, "cuda", precision), mix)

    assert np.allclose(stems[:, 1], 0.75 * mix, atol=1e-2)
