from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.network import Block, Pocket, calibrated, parameters_of
from training.settings import Network, Spectrum

SECOND = 43
"""Frames a second, about."""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Pocket(Spectrum(), Network())
    for weight in network.leave.weights:
        torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


@pytest.fixture
def spec():
    torch.manual_seed(1)
    return torch.randn(2, 4, 2048, 20)


@torch.no_grad()
def test_it_gives_three_spectra_of_the_input_s_shape_that_leave_the_fourth(network, spec):
    power = torch.rand(1, 2, Spectrum().bins, 8)

    stems, factors = network(spec), network.factors(power)

    assert stems.shape == (2, 3, 4, 2048, 20)
    assert factors.min() > 0
    torch.testing.assert_close(factors.sum(dim=1), torch.ones_like(power))


@torch.no_grad()
def test_factors_reach_every_bin_of_the_transform(network, spec, monkeypatch):
    # Four equal factors: each stem is a quarter, above the highest band too.
    even = torch.full((2, 4, 2, Spectrum().bins, 20), 0.25)
    monkeypatch.setattr(network, "factors", lambda power: even)

    stems = network(spec)

    torch.testing.assert_close(stems, (spec * 0.25).unsqueeze(1).expand(-1, 3, -1, -1, -1))


@torch.no_grad()
def test_silence_stays_silence(network):
    assert not network(torch.zeros(1, 4, 2048, 8)).any()


@torch.no_grad()
def test_swapped_channels_give_swapped_stems(network, spec):
    swapped = torch.cat([spec[:, 2:], spec[:, :2]], dim=1)

    stems, other = network(spec), network(swapped)

    torch.testing.assert_close(other, torch.cat([stems[:, :, 2:], stems[:, :, :2]], dim=2))


@torch.no_grad()
def test_turned_polarity_gives_turned_stems(network, spec):
    torch.testing.assert_close(network(-spec), -network(spec))


@torch.no_grad()
def test_the_middle_goes_by_mid_and_the_sides_by_side(network, spec):
    middle = torch.cat([spec[:, :2], spec[:, :2]], dim=1)

    stems = network(middle)

    torch.testing.assert_close(stems[:, :, :2], stems[:, :, 2:])


@torch.no_grad()
def test_frames_that_cannot_be_halved_are_followed_by_silence(network):
    power = torch.rand(1, 2, Spectrum().bins, 13)
    followed = torch.nn.functional.pad(power, (0, 3))

    factors = network.factors(power)

    assert factors.shape[-1] == 13
    torch.testing.assert_close(factors, network.factors(followed)[..., :13])


@torch.no_grad()
def test_a_block_lets_every_band_hear_every_other():
    torch.manual_seed(2)
    block = Block(channels=6, bands=24).eval()
    x = torch.rand(1, 6, 24, 4) + 1
    changed = x.clone()
    changed[:, :, 0] += 1

    heard = (block(changed) - block(x)).abs().amax(dim=(0, 1, 3))

    assert (heard[3:] > 0).all()


@torch.no_grad()
def test_it_is_as_small_and_as_cheap_as_promised(network):
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 4, 2048, SECOND))

    assert parameters_of(network) * 2 < 8e6, "bytes in the package, at 16 bits"
    assert counter.get_total_flops() < 2e9, "operations a second of audio"


@torch.no_grad()
def test_a_network_may_hear_its_input_softer(network):
    power = torch.rand(1, 2, Spectrum().bins, 6)

    softer = calibrated(network, 1, 0.5)

    torch.testing.assert_close(softer.factors(power), network.factors(power * 0.25))


@torch.no_grad()
def test_softened_factors_are_a_power_of_the_trained_ones(network):
    power = torch.rand(1, 2, Spectrum().bins, 6)
    raised = network.factors(power) ** 0.6

    soft = calibrated(network, 0.6, 1).factors(power)

    torch.testing.assert_close(soft, raised / raised.sum(dim=1, keepdim=True))


def test_bands_that_do_not_cover_the_bins_are_refused():
    with pytest.raises(ValueError, match="cover the bins"):
        Pocket(Spectrum(bands=((8, 8),)), Network())


def test_bands_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="cannot be halved 3 times"):
        Pocket(Spectrum(bands=((12, 64),)), Network())
