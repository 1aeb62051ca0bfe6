"""Whole songs through Octet's public path, against Demucs' own separation of the same song."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `demucs`: pip install torch")

import torch
from demucs.apply import BagOfModels, apply_model

from octet.separation.model import ModelChoice
from octet.separation.models.loading import LoadedModel, load
from tests.separation.models.demucs.files import (
    HDEMUCS_SEGMENT,
    RATE,
    htdemucs,
    music,
    relative_error,
    small_hdemucs,
    tiny_demucs,
    tiny_htdemucs,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.separation.models.demucs.conftest import Checkpoints

# A network of the published size takes seconds for each segment, twice; and a conversion is
# traced in Python.
pytestmark = [
    pytest.mark.demucs,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(1200),
]

PARITY = 1e-4
"""Relative to the norm of Demucs' stems."""


@dataclass
class Song:
    """A song in memory."""

    data: np.ndarray
    rate: int = RATE
    samples: int = field(init=False)
    mean: float = field(init=False)
    deviation: float = field(init=False)

    def __post_init__(self) -> None:
        mono = self.data.astype(np.float64).mean(axis=0)
        self.samples = self.data.shape[-1]
        self.mean, self.deviation = float(mono.mean()), float(mono.std(ddof=1))

    def read(self, start: int, count: int) -> np.ndarray:
        return self.data[:, start : start + count]


@dataclass
class Pair:
    """A model in Demucs, and the same in Octet."""

    original: Any
    octet: LoadedModel

    def compare(self, mix: np.ndarray) -> float:
        """The relative difference between the two separations of a song."""
        song = Song(mix)
        scaled = (torch.from_numpy(mix) - song.mean) / (song.deviation + 1e-8)
        expected = apply_model(self.original, scaled[None], shifts=0)[0].numpy()
        expected = expected * song.deviation + song.mean
        actual = np.concatenate(list(self.octet.stems(song)), axis=-1)
        assert actual.shape == expected.shape
        # Against the sound alone: a constant part would make any difference look small.
        offset = expected.mean(axis=-1, keepdims=True)
        return relative_error(actual - offset, expected - offset)


@pytest.fixture
def pair(checkpoints: Checkpoints, tmp_path: Path) -> Callable[..., Pair]:
    """Puts networks, under their names, into a bag of Demucs, and loads that in Octet."""

    def make(bag: str = "", original: Any = None, **networks: Any) -> Pair:
        model = tmp_path / "model"
        model.mkdir()
        for name, network in networks.items():
            (model / f"{name}.safetensors").hardlink_to(checkpoints.write(name, network))
        (model / "bag.yaml").write_text(f"models: {[*networks]}\n{bag}", encoding="utf-8")
        loaded = load(ModelChoice(model, "cpu", "fp32", cache=checkpoints.cache.folder))
        assert isinstance(loaded, LoadedModel)
        assert loaded.loaded_from.startswith("converted, ")
        return Pair(original or networks.popitem()[1], loaded)

    return make


# With segments of 7.8 s: the one piece of 3 s, and the seven of 40 s.
@pytest.mark.parametrize("seconds", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_htdemucs_of_the_published_size(pair: Callable[..., Pair], seconds: float) -> None:
    assert pair(published=htdemucs()).compare(music(seconds)) < PARITY


# The transitions between pieces are the same however large the network is.
def test_htdemucs_over_many_pieces(pair: Callable[..., Pair]) -> None:
    assert pair(htdemucs=tiny_htdemucs()).compare(music(13)) < PARITY


# One piece of 3 s; one of 11 s, and one of the 2 s behind the stride.
def test_hdemucs_at_the_lengths_of_pieces(pair: Callable[..., Pair]) -> None:
    network = small_hdemucs()
    bag = BagOfModels([network], segment=HDEMUCS_SEGMENT)

    both = pair(f"segment: {HDEMUCS_SEGMENT}\n", bag, hdemucs=network)

    assert both.compare(music(3)) < PARITY
    assert both.compare(music(11)) < PARITY


def test_a_bag_with_weights(pair: Callable[..., Pair]) -> None:
    # Two that differ, for Demucs asks no more of them than the same sources and the same rate.
    networks = {"htdemucs": tiny_htdemucs(), "shallow": tiny_htdemucs(1, depth=2, t_layers=1)}
    weights = [[1.0, 0.0, 0.5, 2.0], [1.0, 1.0, 0.5, 0.0]]

    bag = BagOfModels([*networks.values()], weights)

    assert pair(f"weights: {weights}\n", bag, **networks).compare(music(5)) < PARITY


def test_the_waveform_network_with_context_around_its_pieces(pair: Callable[..., Pair]) -> None:
    assert pair(demucs=tiny_demucs()).compare(music(14)) < PARITY
