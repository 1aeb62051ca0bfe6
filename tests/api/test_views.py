"""Jobs as answers show them, and the ids that clients send."""

from __future__ import annotations

import pytest

from octet.api.errors import RefusedError
from octet.api.views import plain_view, split_id
from octet.jobs.job import Job

SONG = "ab" * 32


def job(**fields: str) -> Job:
    record = {"id": SONG, "song": SONG, "state": "waiting", **fields}
    return Job.from_record({name.encode(): value.encode() for name, value in record.items()})


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (SONG, (SONG, "")),
        ("AB" * 28, ("AB" * 28, "")),
        (f"{SONG}-0123456789abcdef", (SONG, "0123456789abcdef")),
    ],
)
def test_an_id_is_a_songs_name_and_perhaps_a_recipes(given: str, parts: tuple[str, str]) -> None:
    assert split_id(given) == parts


@pytest.mark.parametrize(
    "given", ["", "x", SONG[:31], f"{SONG}-", f"{SONG}-XYZ", f"{SONG}/..", f"{SONG}\n", "ab" * 65]
)
def test_what_is_no_id_is_not_found(given: str) -> None:
    with pytest.raises(RefusedError) as refused:
        split_id(given)
    assert refused.value.status == 404


def test_a_job_that_runs_says_how_far_it_is() -> None:
    view = plain_view(
        job(state="running", percent="12.5", left="7.0", started="2000", recipe='{"shifts":0}')
    )

    assert (view.percent, view.seconds_left) == (12.5, 7.0)
    assert view.recipe == {"shifts": 0}
    assert view.started is not None
    assert view.started.timestamp() == 2.0


def test_a_job_that_is_done_is_whole_whatever_was_last_recorded() -> None:
    view = plain_view(job(state="done", outcome="fallback", percent="40", left="3",
                          error_code="model", error="it broke"))  # fmt: skip

    assert (view.percent, view.seconds_left, view.outcome) == (100.0, None, "fallback")
    assert view.error is not None
    assert view.error.message == "it broke"
