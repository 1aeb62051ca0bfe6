"""The whole service with many clients and a long queue: `make bench` measures it, this holds it."""

import statistics

import pytest

from benchmarks import load

pytestmark = pytest.mark.timeout(240)


def test_a_crowd_of_clients_and_ten_thousand_jobs_that_wait():
    # given `octet up`, songs that six clients send at once, and 10,000 jobs behind them
    figures = load.measure(24, 6, 10_000, 60, OCTET_MODEL="original")
    # then every job is claimed in its turn, and the queue is listed whole and in its order
    assert figures.in_order
    assert figures.listed
    # and a claim takes no longer for the jobs behind it
    assert statistics.median(figures.claims_long) < 3 * statistics.median(figures.claims) + 0.1
    # and neither the API nor the supervisor grows with the queue
    assert figures.api[-1] - figures.api[0] < 40
    assert figures.supervisor[-1] - figures.supervisor[0] < 20
    # and others are answered meanwhile
    assert statistics.median(figures.answers_long) < 0.5
