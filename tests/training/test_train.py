from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.batches import Batches
from training.loss import separation_loss
from training.network import Pocket
from training.pool import save_clip
from training.settings import RATE, STEMS, Network, Recipe
from training.train import Run, schedule
from training.validate import excerpts, ratios


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    rng = np.random.default_rng(0)
    for stem in STEMS:
        noise = rng.normal(0, 0.1, (2, RATE)).astype(np.float32)
        save_clip(folder, "render", "song", stem, "song", np.cumsum(noise, axis=1) * 0.05)
    return folder


@pytest.fixture(scope="module")
def recipe():
    """The recipe with a network, batches and a run that a test can wait for."""
    whole = Recipe()
    return replace(
        whole,
        network=Network(channels=(8, 8), dilations=(1, 2), wide=8),
        training=replace(
            whole.training, batch=2, frames=6, steps=4, warmup=2, checkpoint_every=2,
            validate_every=2, snapshot_every=1,
        ),
    )  # fmt: skip


class StopError(Exception):
    """The run is cut off."""


class Breaking(Run):
    """A run that is cut off after its third step, one step past its checkpoint."""

    def log(self, **values):
        super().log(**values)
        if self.step == 3:
            raise StopError


def test_a_resumed_run_goes_on_bit_for_bit(recipe, pool, tmp_path):
    through = Run(recipe, tmp_path / "through")
    through.train(pool, {}, workers=0)

    with pytest.raises(StopError):
        Breaking(recipe, tmp_path / "broken").train(pool, {}, workers=0)
    resumed = Run(recipe, tmp_path / "broken")
    assert resumed.step == 2
    resumed.train(pool, {}, workers=0)

    assert resumed.step == through.step == 4
    for network in ("network", "average"):
        ours = getattr(resumed, network).state_dict()
        theirs = getattr(through, network).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_run_can_begin_with_the_weights_of_another(recipe, tmp_path):
    torch.manual_seed(5)
    other = Pocket(recipe.spectrum, recipe.network)

    run = Run(recipe, tmp_path, other)

    assert run.step == 0
    for network in (run.network, run.average):
        ours, theirs = network.state_dict(), other.state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_the_result_is_the_mean_of_the_weights_along_the_way_or_the_last(recipe, pool, tmp_path):
    # given a run of four steps
    run = Run(recipe, tmp_path)
    run.train(pool, {}, workers=0)
    # when the result of its second half is asked for
    result = run.result(2, 4).state_dict()
    # then it is the mean of the weights after the second step, the third and the last
    files = [tmp_path / "snapshots" / f"{step:06d}.pt" for step in (2, 3, 4)]
    along = [torch.load(path, weights_only=True) for path in files]
    for name, value in result.items():
        torch.testing.assert_close(value, sum(weights[name] for weights in along) / 3)
    assert not torch.equal(along[0]["leave.widen.weight"], along[2]["leave.widen.weight"])
    # and without steps it is the last, also of a run that was cut off where none was kept
    last = run.result().state_dict()
    assert all(torch.equal(last[name], along[2][name]) for name in last)
    files[2].unlink()
    resumed = Run(recipe, tmp_path).result().state_dict()
    assert all(torch.equal(resumed[name], last[name]) for name in last)


def test_a_run_writes_its_log(recipe, pool, tmp_path):
    stems = {
        s: np.random.default_rng(1).normal(0, 0.1, (2, RATE)).astype(np.float32) for s in STEMS
    }
    sets = {"noise": excerpts(stems, recipe.spectrum, frames=6, most=2)}

    Run(recipe, tmp_path).train(pool, sets, workers=0)

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    checks = [line["validation"]["noise"] for line in lines if "validation" in line]
    assert len(checks) == 2
    assert set(checks[0]) == set(STEMS)


def test_a_batch_depends_on_its_number_alone(recipe, pool):
    in_order = Batches(recipe, pool)
    first, second = in_order[0], in_order[1]

    late = Batches(recipe, pool, first=1)

    for ours, theirs in zip(late[0], second, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(first[0], second[0])


def test_the_rate_rises_holds_and_falls(recipe):
    settings = replace(recipe.training, steps=100, warmup=10, decay=0.2)

    rates = [schedule(step, settings) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert set(rates[10:80]) == {1.0}
    assert 0 < rates[99] < 0.06
    assert rates == sorted(rates[:50]) + sorted(rates[50:], reverse=True)


def test_perfect_factors_cost_least():
    torch.manual_seed(0)
    power = torch.rand(2, 2, 9, 5) + 0.5
    true = torch.softmax(torch.randn(2, 4, 2, 9, 5), dim=1)
    cross, energy = true * power.unsqueeze(1), true**2 * power.unsqueeze(1)

    best, found = separation_loss(true, power, cross, energy, 0.1)
    worse, _ = separation_loss(torch.full_like(true, 0.25), power, cross, energy, 0.1)

    assert best < worse
    assert found.max() < -29


def test_validation_counts_in_decibels(recipe):
    class Quarter:
        def factors(self, power):
            return torch.full((len(power), 4, *power.shape[1:]), 0.25)

    tone = np.sin(np.arange(2 * RATE) / 20)
    stems = {stem: np.stack([tone, tone]) for stem in STEMS}
    batches = excerpts(stems, recipe.spectrum, frames=10, most=3)

    exact = ratios(Quarter(), batches)
    stems["vocals"] = stems["vocals"] * 2
    rough = ratios(Quarter(), excerpts(stems, recipe.spectrum, frames=10, most=3))

    assert min(exact.values()) > 40
    assert rough["vocals"] == pytest.approx(20 * np.log10(2 / 0.75), abs=0.1)
