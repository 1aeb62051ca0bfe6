from __future__ import annotations

import pytest
import torch
from torch import nn

from training.muon import LENGTH, Muon, is_matrix, orthogonal


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (5, 16, 24), (64, 64)])
def test_singular_values_move_to_about_one(shape):
    torch.manual_seed(3)
    matrices = torch.randn(shape)

    values = torch.linalg.svdvals(orthogonal(matrices))

    # The smallest of a square matrix need more than five iterations.
    assert values.max() < 1.25
    assert values.median() > 0.65


def test_directions_stay_as_they_are():
    left, _ = torch.linalg.qr(torch.randn(6, 6))
    right, _ = torch.linalg.qr(torch.randn(9, 9))
    given = left @ torch.diag(torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])) @ right[:6]

    found = orthogonal(given)

    turned_back = left.mT @ found @ right[:6].mT
    assert (turned_back - torch.diag(torch.diagonal(turned_back))).abs().max() < 1e-4


def test_nothing_stays_nothing():
    assert (orthogonal(torch.zeros(3, 4)) == 0).all()


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (7, 8, 16), (8, 8)])
def test_a_step_is_as_long_as_adams(shape):
    torch.manual_seed(5)
    parameter = nn.Parameter(torch.zeros(shape))
    parameter.grad = torch.randn(shape) * 1e-4

    Muon([parameter], lr=0.01).step()

    moved = parameter.detach().square().mean().sqrt()
    assert float(moved) == pytest.approx(0.01 * LENGTH, rel=0.3)


def test_it_descends():
    torch.manual_seed(7)
    wanted = torch.randn(6, 10)
    parameter = nn.Parameter(torch.zeros(6, 10))
    optimiser = Muon([parameter], lr=0.05, weight_decay=0.0)

    for _ in range(400):
        parameter.grad = parameter.detach() - wanted
        optimiser.step()

    assert (parameter - wanted).square().mean() < 0.02 * wanted.square().mean()


def test_rows_of_numbers_are_not_for_it():
    assert is_matrix(torch.zeros(4, 3, 1, 1))
    assert is_matrix(torch.zeros(2, 3, 4))
    assert not is_matrix(torch.zeros(4))
    assert not is_matrix(torch.zeros(64, 1, 32)), "a bias for every band"
