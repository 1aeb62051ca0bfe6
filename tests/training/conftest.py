"""Fixtures for the tests of training."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The networks here are so small that a second thread costs more than it brings."""
    torch.set_num_threads(1)
