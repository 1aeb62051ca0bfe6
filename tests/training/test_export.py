from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import training
from octet.separation.models.onnx import read_spec
from octet.separation.runtimes.openvino import OpenVinoNetwork
from octet.separation.stft import Stft
from training.export import description, export, read_network
from training.network import Pocket, calibrated
from training.settings import ESTIMATED, Export, Network, Recipe


@pytest.fixture(scope="module")
def recipe():
    return replace(
        Recipe(), network=Network(channels=(16, 24), dilations=(1, 4)), export=Export(frames=12)
    )


@pytest.fixture(scope="module")
def network(recipe):
    torch.manual_seed(3)
    return Pocket(recipe.spectrum, recipe.network)


@pytest.fixture(scope="module")
def exported(recipe, network, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "pocket.onnx"
    export(network, recipe, path)
    return path


def test_the_file_says_what_it_is(exported, recipe):
    spec = read_spec(exported)

    assert spec is not None
    assert spec == description(recipe)
    assert spec.sources == ESTIMATED
    assert spec.licence == "CC0-1.0"
    assert spec.segment == 12 * 1024


def test_the_file_does_not_tell_where_it_was_made(exported):
    contents = exported.read_bytes()

    assert b".py" not in contents
    assert str(Path(training.__file__).parent.parent).encode() not in contents


def test_the_exported_network_is_the_trained_one(exported, network, recipe):
    runtime = OpenVinoNetwork(exported, description(recipe))
    mix = np.random.default_rng(0).normal(0, 1, (1, 2, 12 * 1024)).astype(np.float32)

    running = runtime.start(runtime.prepare(mix))
    running.wait()
    stems = running.stems()

    assert runtime.spec.stft is not None
    stft = Stft(runtime.spec.stft)
    with torch.no_grad():
        spectra = network(torch.from_numpy(stft.forward(mix))).numpy()
    expected = stft.inverse(spectra, mix.shape[2])
    # The weights are stored in 16 bits: about three and a half digits.
    np.testing.assert_allclose(stems, expected, atol=2e-3 * np.abs(mix).max())


def test_an_exported_network_can_be_trained_on(recipe, network, tmp_path):
    # given a network that was exported with its calibration
    path = tmp_path / "pocket.onnx"
    export(calibrated(network, recipe.export.sharpness, recipe.export.gain), recipe, path)
    # when it is read back
    read = read_network(path, recipe)
    # then it is what was trained, as well as 16 bits tell
    power = torch.rand(1, 2, recipe.spectrum.bins, 8)
    with torch.no_grad():
        ours, theirs = read.factors(power), network.factors(power)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    assert ours.std() > 1e-3


def test_a_network_of_another_size_is_refused(exported, recipe):
    wider = replace(recipe, network=replace(recipe.network, channels=(24, 24)))

    with pytest.raises(ValueError, match="of the shape"):
        read_network(exported, wider)
