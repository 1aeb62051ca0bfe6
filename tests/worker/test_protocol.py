"""What goes over the socket arrives as it was."""

from __future__ import annotations

import json

from octet import errors
from octet.errors import ComputationError, LimitError, SettingError
from octet.worker.protocol import Order, error_of, failure, to_line


def test_an_order_survives_the_journey() -> None:
    order = Order("/song", "/folder", "/links", "naïve \udcff\n", ("vocals",), {"model": "pocket"})

    line = to_line(order.to_message())

    assert line.count(b"\n") == 1
    message = json.loads(line)
    message["tracks"] = tuple(message["tracks"])
    assert Order.from_message(message) == order


def test_an_error_arrives_as_its_own_kind() -> None:
    for sent in (LimitError("too long", "cut it"), SettingError("nonsense")):
        got = error_of(json.loads(to_line(failure(sent))))
        assert type(got) is type(sent)
        assert (got.message, got.hint) == (sent.message, sent.hint)


def test_an_unforeseen_error_is_a_failed_computation() -> None:
    got = error_of(failure(ValueError("odd\nsecond line")))

    assert type(got) is ComputationError
    assert got.message == "the computation failed unexpectedly (ValueError: odd)"


def test_no_two_errors_share_a_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OctetError)
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
