from __future__ import annotations

import pytest
import torch

from training.network import Pocket
from training.settings import Network, Recipe
from training.snapshots import Snapshots


@pytest.fixture(scope="module")
def network():
    return Pocket(Recipe().spectrum, Network(channels=(8, 8), dilations=(1,), wide=8))


def filled(network, value):
    """A network all of whose weights are this number."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_the_mean_counts_the_steps_that_were_asked_for(network, tmp_path):
    # given the weights at four steps
    snapshots = Snapshots(tmp_path / "snapshots")
    for step, value in ((400, 9.0), (800, 1.0), (1200, 2.0), (1600, 6.0)):
        snapshots.keep(step, filled(network, value))
    assert snapshots.steps() == [400, 800, 1200, 1600]
    # when the mean of the last three is taken
    mean = snapshots.mean(network, 800, 1600)
    # then every weight is that, and the network that lent its shape is as it was
    for parameter in mean.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 3.0))
    assert all(bool((parameter == 6.0).all()) for parameter in network.parameters())


def test_the_mean_of_nothing_is_an_error(network, tmp_path):
    snapshots = Snapshots(tmp_path)
    snapshots.keep(400, network)

    with pytest.raises(ValueError, match="between steps 500 and 900"):
        snapshots.mean(network, 500, 900)


def test_a_snapshot_that_was_cut_off_does_not_count(network, tmp_path):
    # given one that was half written when the process was killed
    (tmp_path / "snapshot.part").write_bytes(b"half")
    snapshots = Snapshots(tmp_path)
    # then it is not there, and the next one takes its place
    assert snapshots.steps() == []
    snapshots.keep(400, filled(network, 4.0))
    assert snapshots.steps() == [400]
    assert not (tmp_path / "snapshot.part").exists()
