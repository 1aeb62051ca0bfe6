from __future__ import annotations

from datetime import UTC, datetime

import pytest

from octet.outbound.schedule import EVENTS, LAB, Schedule, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86400.0


def pauses(schedule: Schedule, chance: float) -> list[float]:
    found, attempts = [], 1
    while (pause := schedule.next_pause(attempts, chance=chance)) is not None:
        found.append(pause)
        attempts += 1
    return found


def test_events_are_tried_ten_times_from_five_seconds_over_three_days() -> None:
    earliest, latest = pauses(EVENTS, 0.0), pauses(EVENTS, 1.0)

    assert len(earliest) + 1 == 10
    assert earliest[0] == 5.0
    assert earliest == sorted(earliest)
    assert 3 * DAY <= sum(earliest) <= sum(latest) <= 4 * DAY


def test_chance_lengthens_a_pause_and_never_shortens_it() -> None:
    for least, some, most in zip(*(pauses(EVENTS, c) for c in (0.0, 0.5, 1.0)), strict=True):
        assert least < some < most == pytest.approx(1.2 * least)


def test_the_labs_callback_is_tried_a_few_times() -> None:
    assert pauses(LAB, 0.0) == [5.0, 60.0]


def test_what_the_receiver_asks_for_is_honoured_within_bounds() -> None:
    assert EVENTS.next_pause(1, chance=0.0, retry_after=120.0) == 120.0
    assert EVENTS.next_pause(1, chance=0.0, retry_after=1.0) == 5.0
    assert EVENTS.next_pause(1, chance=0.0, retry_after=1e9) == DAY
    assert EVENTS.next_pause(10, chance=0.0, retry_after=1.0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 00:02:00", 120.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("9" * 400, 999999999999.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251635075199.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 251635161539.0),
        ("Fri, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
        (f"Thu, 01 Jan {'9' * 40} 00:00:00 GMT", None),
        (f"Thu, {'9' * 40} Jan 2026 00:00:00 GMT", None),
        (f"Thu, 01 Jan 2026 {'9' * 40}:00:00 GMT", None),
        (f"Thu, 01 Jan 2026 00:00:00 +{'9' * 40}", None),
        (f"Thu, 01 Jan 2026 00:00:00 -{'9' * 12}", None),
        ("9" * 5000 + " Jan 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
