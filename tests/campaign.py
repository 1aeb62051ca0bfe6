"""The reliability tests in full, and the page that tells how they went: `make chaos`.

`python -m tests.campaign [NUMBER ...]` runs the tests of the list below with their full counts
(OCTET_CHAOS=full) and writes docs/reliability.md; with numbers only those, and the other rows
of the page stay as they are. Arguments that begin with a dash go to pytest.

A test tells a figure with `record_property("figure", "200 kills, nothing lost")`.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"

HEAD = """\
# Reliability, as measured

The promise: a song that was accepted ends in exactly one published result, which is complete,
or a fallback that says so, or a dead letter with a reason. No crash of a worker, of the API or
of the store loses it, and none publishes half of it. A job may be computed more than once; it
is published once.

An import by URL is accepted before its song is there. It ends in one job of that song, or as failed
with a reason: whoever fetches it holds a lease, and one script puts the job on the queue and ends
the import. If a fetcher is killed before that, another one fetches the song again.

It holds as long as the queue server keeps what it has answered for. Octet's own (`octet up`)
writes each change to disk first. Of another Redis or Valkey the promise needs:

- `maxmemory-policy noeviction`. Any other policy may throw accepted jobs away when the memory is
  full, or the keys of idempotent requests; with this one new jobs are refused then.
- `appendonly yes`, with `appendfsync always` to lose nothing, or `everysec` to lose at most the
  last second when the server's machine crashes. Snapshots alone (`save`) lose all since the last.
- One server that holds all keys. A Redis Cluster does not work: scripts touch keys that they find
  out while they run. Sentinel, and the failover of managed services, replicate after they have
  answered: what was accepted in the last moments before a failover may be gone afterwards.
  `min-replicas-to-write 1` shortens these moments and does not end them. Give Octet an address that
  follows the primary (a service or a proxy); it connects again by itself, and does not ask
  Sentinels.
- Managed services often evict by default, write nothing to disk, and forbid CONFIG: set up both in
  their console, and choose a plan with an append-only file.

`octet api` and `octet worker` look at this when they start and log a warning by name,
`octet doctor` prints it, and /readyz carries it as `warnings`.

What is at fault decides who pays for it. An error of the song, of its recipe, or of a model that
only its client chose is the job's own: it is tried again, up to `OCTET_ATTEMPTS`, where that may
help (another worker may have the model), and then takes the fallbacks of `OCTET_FALLBACK` in their
order, or becomes a dead letter. A model that does not exist, is damaged, or is not allowed takes
the fallback at once. The fault of a machine is no job's: a worker loads its default model before
it claims anything, and after a failure that may be its own (a full disk, a device, the model, a
process that died, a store that refuses) it examines itself. If the scratch disk lacks room, the
default model cannot be loaded, or the store lets nothing through, then it hands the job back to
its old place with no attempt counted, takes no others, and looks again after pauses that grow to
a minute. Meanwhile its log, `octet_worker_fit`, its /readyz, `octet queue`, GET /v1/queue and the
API's /readyz say what is wrong, and the other workers go on. If it finds nothing, the failure was
the job's; so it is when one job meets a sick worker more than ten times in a row, which may be its
doing.

A queue or a store that does not answer is waited for without end, and costs no attempt. A store
that answers and refuses (no such bucket, no permission, no room) is tried for
`OCTET_STORE_PATIENCE` seconds; then the same examination tells whether it refuses everything or
this job alone.

These tests hold the promise. They run with every commit in reduced numbers; `make chaos` runs
them in full and has written the rows below.

| | what is done | how it went | figures | when, where |
|---|---|---|---|---|
"""


@dataclass
class Entry:
    """One line of the list: what is done, the tests that do it, and how they went."""

    number: int
    what: str
    tests: tuple[str, ...]
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)

    def row(self) -> str:
        """The line of the page."""
        verdict = "passed" if self.passed and not self.failed else "**failed**"
        if not self.passed and not self.failed:
            verdict = "skipped"
        figures = "; ".join(_summed(self.figures)) or f"{self.passed} tests"
        where = f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        when = time.strftime("%Y-%m-%d", time.gmtime())
        return (
            f"| {self.number} | {self.what} | {verdict} in {self.seconds:.0f} s "
            f"| {figures} | {when}, {where} |"
        )


CAMPAIGN = (
    Entry(
        1,
        "workers are killed at random moments, 200 times; 180 on S3",
        ("tests/reliability/test_kills.py::test_workers_killed_at_random_moments",),
    ),
    Entry(
        2,
        "workers are killed at each boundary, 20 times each, in a folder and on S3",
        ("tests/reliability/test_kills.py::test_workers_killed_at_each_boundary",),
    ),
    Entry(
        3,
        "a worker is killed between the move and the claim, 100 times",
        ("tests/jobs/test_reaper.py::test_a_kill_between_the_move_and_the_claim_strands_nothing",),
    ),
    Entry(
        4,
        "a job kills its process, or its whole worker, among 50 neighbours",
        (
            "tests/reliability/test_poison.py::test_a_job_that_kills_its_process",
            "tests/reliability/test_poison.py::test_a_job_that_kills_the_whole_worker",
        ),
    ),
    Entry(
        5,
        "the kernel kills a computation for its memory",
        ("tests/reliability/test_poison.py::test_an_out_of_memory_kill_by_the_kernel",),
    ),
    Entry(
        6,
        "workers sleep through the end of their lease, and wake up, 70 times; 50 on the queue",
        (
            "tests/reliability/test_fencing.py::test_a_worker_that_wakes_up_too_late",
            "tests/jobs/test_claims.py::test_a_late_worker_changes_nothing",
        ),
    ),
    Entry(
        7,
        "a job of ten times the lease holds the interpreter's lock",
        ("tests/reliability/test_poison.py::test_a_long_job_that_holds",),
    ),
    Entry(
        8,
        "SIGTERM at random moments, 50 times, every other one twice",
        ("tests/reliability/test_stops.py", "tests/worker/test_stopping.py"),
    ),
    Entry(
        9,
        "the queue server is killed under load, 50 times on Redis, 50 on Valkey",
        ("tests/jobs/test_restarts.py::test_a_killed_server_loses_no_accepted_job",),
    ),
    Entry(
        10,
        "500 jobs while queue and store fail: resets, 5 s of latency, lost answers, 10 % of"
        " 500 and 503, bodies cut in half",
        ("tests/reliability/test_faults.py",),
    ),
    Entry(
        11,
        "two workers are forced onto one job, 200 times in a folder, 200 on S3; 200 on the queue",
        (
            "tests/reliability/test_fencing.py::test_two_workers_on_one_job",
            "tests/jobs/test_claims.py::test_two_workers_forced_onto_one_job",
        ),
    ),
    Entry(
        12,
        "50 posts of one song at once, 20 times",
        ("tests/jobs/test_queue.py::test_fifty_posts_of_one_song_at_once_are_one_job",),
    ),
    Entry(
        13,
        "10,000 sequences of what can happen to jobs, on Redis and on Valkey",
        ("tests/jobs/test_states.py",),
    ),
    Entry(
        14,
        "1,000 events to a receiver that fails three times in ten",
        ("tests/outbound/test_webhooks.py::test_all_events_reach", "tests/outbound/test_sign.py"),
    ),
    Entry(
        15,
        "forbidden addresses, checked at the socket",
        ("tests/outbound/test_guard.py",),
    ),
    Entry(
        16,
        "10,000 mutated songs of every accepted format, and crafted ones",
        ("tests/reliability/test_hostile.py",),
    ),
    Entry(
        17,
        "ten minutes of songs, and somebody is killed every minute, in a folder and on S3",
        ("tests/reliability/test_soak.py",),
    ),
    Entry(
        18,
        "`octet up` is killed whole, 25 times as it starts and 25 times with songs in it",
        ("tests/integration/test_up.py::test_killed_at_any_moment_it_goes_on_where_it_was",),
    ),
    Entry(
        19,
        "the API is killed alone under load (uploads, submissions), 50 times",
        ("tests/reliability/test_servers.py::test_the_api_is_killed_under_load",),
    ),
    Entry(
        20,
        "the store is killed and restarted under load, 20 times",
        ("tests/reliability/test_servers.py::test_the_store_is_killed_and_restarted",),
    ),
    Entry(
        21,
        "a worker's scratch disk fills among two that are well; 100 songs",
        ("tests/reliability/test_sickness.py::test_a_worker_whose_disk",),
    ),
    Entry(
        22,
        "one worker of three: a wrong model name, no such device, a silent hub; 100 songs each",
        ("tests/reliability/test_sickness.py::test_a_worker_that_cannot_have_its_model",),
    ),
    Entry(
        23,
        "Redis is killed and restarted, and messages of accepted jobs are gone, 20 times",
        ("tests/reliability/test_servers.py::test_redis_restarts_with_a_lost_message",),
    ),
)


class Reporter:
    """A pytest plugin: keeps the tests of the chosen entries, and notes how they went."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def _entry(self, test: str) -> Entry | None:
        return next(
            (one for one in self._entries if any(test.startswith(name) for name in one.tests)),
            None,
        )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves out what the list does not name."""
        items[:] = [item for item in items if self._entry(item.nodeid)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes a phase of a test."""
        entry = self._entry(report.nodeid)
        if entry is None:
            return
        entry.seconds += report.duration
        if report.failed:
            entry.failed += 1
        elif report.skipped:
            entry.skipped += 1
        elif report.when == "call":
            entry.passed += 1
            entry.figures += [
                str(value) for name, value in report.user_properties if name == "figure"
            ]


def _summed(figures: list[str]) -> list[str]:
    """Equal figures once, with how often they came."""
    times = {figure: figures.count(figure) for figure in figures}
    return [figure if count == 1 else f"{count} times {figure}" for figure, count in times.items()]


def write_page(entries: list[Entry], page: Path = PAGE) -> None:
    """Writes the rows of what ran, and keeps the others."""
    text = page.read_text("utf-8") if page.exists() else ""
    rows = {int(row[1]): row[0] for row in re.finditer(r"^\| (\d+) \|.*$", text, re.MULTILINE)}
    rows |= {one.number: one.row() for one in entries if one.passed or one.failed or one.skipped}
    page.write_text(HEAD + "\n".join(rows[number] for number in sorted(rows)) + "\n", "utf-8")


def main(arguments: list[str]) -> int:
    """Runs the campaign; the exit status is pytest's."""
    numbers = {int(one) for one in arguments if one.isdecimal()}
    entries = [one for one in CAMPAIGN if not numbers or one.number in numbers]
    files = dict.fromkeys(name.partition("::")[0] for one in entries for name in one.tests)
    options = [one for one in arguments if not one.isdecimal()]
    status = pytest.main([*files, *options], plugins=[Reporter(entries)])
    if status != pytest.ExitCode.INTERRUPTED:  # half a campaign proves nothing
        write_page(entries)
    return int(status)


if __name__ == "__main__":
    os.environ["OCTET_CHAOS"] = "full"
    sys.exit(main(sys.argv[1:]))
