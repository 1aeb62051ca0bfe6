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
    RATE,
    hdemucs,
    htdemucs,
    music,
    relative_error,
    tiny_demucs,
    tiny_htdemucs,
    write_safetensors,
)

if TYPE_CHECKING:
    from pathlib import Path

# Networks of the published sizes take seconds for each segment, twice; and a conversion is
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


def _pair(folder: Path, bag: str, *networks: Any) -> Pair:
    """Writes networks as a bag of Demucs, and resolves and converts it for Octet."""
    model = folder / "model"
    model.mkdir()
    for index, network in enumerate(networks):
        write_safetensors(network, model / f"member{index}.safetensors")
    names = [f"member{index}" for index in range(len(networks))]
    (model / "bag.yaml").write_text(f"models: {names}\n{bag}", encoding="utf-8")
    loaded = load(ModelChoice(model, "cpu", "fp32", cache=folder / "cache"))
    assert isinstance(loaded, LoadedModel)
    return Pair(networks[0] if len(networks) == 1 else None, loaded)


@pytest.fixture(scope="module")
def published_htdemucs(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return _pair(tmp_path_factory.mktemp("htdemucs"), "", htdemucs())


@pytest.fixture(scope="module")
def variable_hdemucs(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    # A quarter of mdx_extra's channels; layers, strides, LSTMs and attention are its own.
    network = hdemucs(channels=12)
    pair = _pair(tmp_path_factory.mktemp("hdemucs"), "segment: 44\n", network)
    return Pair(BagOfModels([network], segment=44), pair.octet)


@pytest.mark.parametrize("seconds", [3, 40])
def test_htdemucs_of_the_published_size(published_htdemucs: Pair, seconds: float) -> None:
    assert published_htdemucs.octet.loaded_from.startswith("converted, ")
    assert published_htdemucs.compare(music(seconds)) < PARITY


# With segments of 44 s: one piece of 3 s; one of 40 s, and one of the 7 s behind the stride.
@pytest.mark.parametrize("seconds", [3, 40])
def test_hdemucs_at_the_lengths_of_pieces(variable_hdemucs: Pair, seconds: float) -> None:
    assert variable_hdemucs.compare(music(seconds)) < PARITY


def test_a_bag_with_weights(tmp_path: Path) -> None:
    networks = tiny_htdemucs(0), tiny_htdemucs(1)
    weights = [[1.0, 0.0, 0.5, 2.0], [1.0, 1.0, 0.5, 0.0]]

    pair = _pair(tmp_path, f"weights: {weights}\n", *networks)
    pair.original = BagOfModels(list(networks), weights)

    assert pair.compare(music(9)) < PARITY


def test_the_waveform_network_with_context_around_its_pieces(tmp_path: Path) -> None:
    # Three of its six layers: how deep it is costs the conversion most, and test_demucs_export
    # holds the whole depth to the original.
    network = tiny_demucs(depth=3)

    assert _pair(tmp_path, "", network).compare(music(14)) < PARITY
