"""Checkpoints and songs for the tests: networks of Demucs with seeded random weights."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch", reason="needs the extra `demucs`: pip install torch")
pytest.importorskip("demucs", reason="needs the extra: pip install 'octet-stems[demucs]'")

from demucs.demucs import Demucs  # noqa: E402 - after the skip
from demucs.hdemucs import HDemucs  # noqa: E402 - after the skip
from demucs.htdemucs import HTDemucs  # noqa: E402 - after the skip
from demucs.transformer import LayerScale  # noqa: E402 - after the skip

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 44_100
HDEMUCS_SEGMENT = 12
"""Seconds, as a bag sets them: longer than what the LSTMs of HDemucs take without frames."""


def htdemucs(seed: int = 0, **changes: Any) -> Any:
    """The published htdemucs' size, unless changed."""
    size = {"channels": 48, "bottom_channels": 512, "t_layers": 5, "dconv_mode": 3}
    return _lively(HTDemucs, seed, **{**size, "segment": Fraction(39, 5), **changes})


def tiny_htdemucs(seed: int = 0, **changes: Any) -> Any:
    """The same architecture, small enough for a test, for segments of two seconds."""
    size = {"channels": 8, "bottom_channels": 16, "t_layers": 2, "t_heads": 2, "dconv_depth": 1}
    return htdemucs(seed, **{**size, "segment": Fraction(2), **changes})


def hdemucs(seed: int = 0, **changes: Any) -> Any:
    """The published mdx_extra's kind and size, unless changed."""
    return _lively(HDemucs, seed, **changes)


def tiny_hdemucs(seed: int = 0, **changes: Any) -> Any:
    """The same architecture, small enough for a test."""
    return hdemucs(seed, **{"channels": 4, "dconv_depth": 1, "segment": 6, **changes})


def small_hdemucs() -> Any:
    """A sixth of the published channels; layers, strides, LSTMs and attention are its own."""
    return hdemucs(channels=8)


def tiny_demucs(seed: int = 0, **changes: Any) -> Any:
    """Demucs' network for waveforms alone, small enough for a test."""
    size = {"channels": 4, "dconv_depth": 1, "segment": 6}
    return _lively(Demucs, seed, **{**size, **changes})


def _lively(klass: Any, seed: int, **kwargs: Any) -> Any:
    """A network whose every branch is heard in its output.

    As initialised, the residual branches are scaled by 1e-4, so that errors in them would
    go unseen, and the biases outweigh the input.
    """
    torch.manual_seed(seed)
    network = klass(SOURCES, **kwargs).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LayerScale):
                module.scale.fill_(0.3)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.mul_(0.1)
    network.described = kwargs
    return network


def write_safetensors(network: Any, path: Path, **changes: str) -> Path:
    """Writes a checkpoint as Demucs' hub has them; `changes` replace its metadata."""
    from safetensors.torch import save_file

    metadata = {
        "klass": f"{type(network).__module__}.{type(network).__qualname__}",
        "args": json.dumps([SOURCES]),
        "kwargs": json.dumps(network.described, default=_fraction),
        **changes,
    }
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, path, metadata=metadata)
    return path


def write_pickle(network: Any, path: Path, **changes: Any) -> Path:
    """Writes a checkpoint as Demucs' older server has them."""
    package = {
        "klass": type(network),
        "args": (SOURCES,),
        "kwargs": network.described,
        "state": network.state_dict(),
        "training_args": {"lr": 3e-4},
        **changes,
    }
    torch.save(package, path)
    return path


def _fraction(value: object) -> object:
    assert isinstance(value, Fraction)
    return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Something like music, float32 (2, n): a beat, a bass line, chords, a wavering voice."""
    n = int(seconds * RATE)
    draw = np.random.default_rng(seed)
    t = np.arange(n) / RATE
    beat = t % 0.5
    drums = draw.normal(size=(2, n)) * np.exp(-beat * 30) * 0.3
    notes = draw.integers(0, 12, size=int(seconds * 2) + 2)
    pitch = 55 * 2 ** (notes[(t * 2).astype(int)] / 12)
    bass = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-beat * 3) * 0.3
    chords = sum(
        np.sin(2 * np.pi * 4 * np.cumsum(pitch) * ratio / RATE) for ratio in (1, 1.26, 1.5)
    )
    voice = np.sin(2 * np.pi * 330 * t + 4 * np.sin(2 * np.pi * 5.5 * t)) * (t % 4 < 3) * 0.2
    left = drums[0] + bass + chords * 0.08 + voice
    right = drums[1] + bass + chords * 0.05 + voice * 0.9
    return (np.stack([left, right]) * 0.6).astype(np.float32)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """The error's norm over the norm of what was expected."""
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
