# The helpers of these tests carry no annotations.
from __future__ import annotations

import threading
import time

import pytest

from octet.errors import CancelledError
from octet.separation.pipeline import ahead


@pytest.fixture(autouse=True)
def no_thread_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_come_in_order_from_another_thread():
    def source():
        for number in range(100):
            yield number, threading.current_thread().name

    items = list(ahead(source(), name="stage"))

    assert items == [(number, "stage") for number in range(100)]


def test_stages_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)

    def first():
        for number in range(3):
            yield number
            meeting.wait()  # works on the next while the second stage has this one

    def second(source):
        for number in source:
            meeting.wait()
            yield number

    assert list(ahead(second(ahead(first())))) == [0, 1, 2]


def test_a_stage_is_no_further_ahead_than_the_line_is_deep():
    made = []

    def source():
        for number in range(100):
            made.append(number)
            yield number

    items = ahead(source(), depth=3)
    next(items)
    time.sleep(0.1)

    assert len(made) <= 5  # one taken, three waiting, one in hand
    items.close()


def test_an_error_comes_after_the_items_before_it():
    def source():
        yield 1
        raise ValueError("broken")

    items = ahead(ahead(source()))

    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_closing_closes_the_source_in_its_own_thread():
    closed_in = []

    def source():
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    items = ahead(source(), name="stage")
    next(items)
    items.close()

    assert closed_in == ["stage"]


def test_a_whole_chain_is_closed_from_its_end():
    closed = []

    def source(index, upstream):
        try:
            yield from upstream
        finally:
            closed.append(index)

    chain = ahead(source(0, iter(range(10**9))))
    for index in (1, 2):
        chain = ahead(source(index, chain))
    next(chain)
    chain.close()

    assert sorted(closed) == [0, 1, 2]


def test_a_cancellation_is_seen_while_waiting():
    stop = threading.Event()

    def source():
        stop.wait(30)
        yield 0

    started = time.monotonic()
    with pytest.raises(CancelledError):
        list(ahead(source(), cancelled=lambda: True, interrupt=stop.set))

    assert time.monotonic() - started < 5


def test_what_has_ended_is_not_interrupted():
    interrupted = []

    list(ahead((n for n in range(3)), interrupt=lambda: interrupted.append(True)))

    assert not interrupted


def test_a_failing_interrupt_does_not_hide_the_cancellation():
    def fail():
        raise RuntimeError("no")

    def source():
        time.sleep(0.3)
        yield 0

    with pytest.raises(CancelledError):
        list(ahead(source(), cancelled=lambda: True, interrupt=fail))
