"""Records of imports, as they are read."""

from __future__ import annotations

import pytest

from octet.jobs.import_job import Import, ImportRequest, import_of
from octet.jobs.job import JobError

RECORD = {
    b"id": b"import-1",
    b"state": b"fetching",
    b"url": b"http://example.org/a",
    b"host": b"example.org",
    b"recipe": b'{"model": "pocket"}',
    b"priority": b"high",
    b"name": "Größe".encode(),
    b"bytes": b"10",
    b"size": b"20",
    b"attempts": b"2",
    b"made": b"1700000000123456",
    b"error_code": b"remote-unavailable",
    b"error": b"it answered 503",
    b"cancel": b"1",
}


def test_a_record_is_read() -> None:
    found = Import.from_record(RECORD)
    assert (found.id, found.state, found.ended, found.cancelling) == (
        "import-1",
        "fetching",
        False,
        True,
    )
    assert (found.arrived, found.size, found.attempts) == (10, 20, 2)
    assert (found.recipe, found.name, found.host) == ({"model": "pocket"}, "Größe", "example.org")
    assert found.created == pytest.approx(1_700_000_000.123)
    assert found.error == JobError("remote-unavailable", "it answered 503")
    assert import_of([part for pair in RECORD.items() for part in pair]) == found


def test_what_is_not_known_is_none() -> None:
    ended = {b"state": b"submitted", b"job": b"abc", b"finished": b"1700000001000", b"size": b""}
    found = Import.from_record({**RECORD, **ended, b"error_code": b"", b"cancel": b""})
    assert (found.ended, found.job, found.finished) == (True, "abc", 1_700_000_001.0)
    assert (found.size, found.error, found.cancelling) == (None, None, False)


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://A.example:81/x?y", "a.example:81"), ("http://[::1]/", "[::1]"), ("http://[", "")],
)
def test_hosts_are_told_apart(url: str, host: str) -> None:
    assert ImportRequest(url, {}).host == host
