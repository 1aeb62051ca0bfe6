"""`octet status`, `queue`, `cancel` and `dead`: the jobs of a service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octet.cli.console import AsJson, counted, fail, note, say, say_json, say_table
from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from octet.client import Client

JobId = Annotated[str, typer.Argument(help="The job's id, or the beginning of it.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the service; else OCTET_URL, else port 5000."),
]

_HASH = re.compile(r"[0-9a-f]{56,}")
_IMPORT = re.compile(r"(import-[0-9a-f]{12})[0-9a-f]{20}")

dead = typer.Typer(help="List dead letters, and replay them.", no_args_is_help=False)


def connect(url: str | None) -> Client:
    """A client of the service; its key comes from OCTET_KEY, never from the command line."""
    from octet.client import Client

    return Client(url)


def status(
    job_id: Annotated[
        str | None, typer.Argument(help="A job's id, or the beginning of it; else the latest.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show how far a job is, or the latest jobs."""
    with connect(url) as client:
        jobs = [client.job(full_id(job_id, client.jobs))] if job_id else client.jobs(limit=20)
        sick = {} if as_json or job_id else client.queue()
    if as_json:
        say_json(jobs[0] if job_id else jobs)
    elif job_id:
        say(f"{jobs[0]['id']}  {describe(jobs[0])}")
        for name in ("name", "priority", "attempts", "created", "started", "finished"):
            if jobs[0].get(name):
                say(f"  {name}: {jobs[0][name]}")
    elif jobs:
        rows = [(short_id(job["id"]), describe(job), job["name"]) for job in jobs]
        say_table(rows, header=("job", "state", "song"))
    else:
        say("no jobs")
    tell_sick(sick)


def tell_sick(found: dict[str, Any]) -> None:
    """Names the workers that take no jobs, on standard error."""
    for worker, reason in found.get("sick", {}).items():
        note(f"worker {worker} takes no jobs: {reason}")


def queue(as_json: AsJson = False, url: Url = None) -> None:
    """Show what runs and what waits, in the order in which it will run."""
    with connect(url) as client:
        found = client.queue()
    if as_json:
        say_json(found)
        return
    for job in found["running"]:
        say(f"{short_id(job['id'])}  {describe(job)}")
    for place, entry in enumerate(found["waiting"]):
        priority = "" if entry["priority"] == "normal" else f", {entry['priority']} priority"
        say(f"{short_id(entry['id'])}  waiting, {place} before it{priority}")
    more = found["depth"] - len(found["waiting"])
    if more > 0:
        say(f"... and {more} more")
    fetching = f", {found['fetching']} being fetched" if found.get("fetching") else ""
    workers = counted(found["workers"], "worker")
    say(f"{found['depth']} waiting{fetching}, {len(found['running'])} running, {workers}")
    tell_sick(found)


def cancel(job_id: JobId, url: Url = None) -> None:
    """Cancel a job. One that runs stops within seconds; what has ended stays as it is."""
    with connect(url) as client:
        job = client.cancel(full_id(job_id, client.jobs))
    say(f"{job['id']}  {describe(job)}")
    if job["state"] in ("done", "failed"):
        fail("it had ended before")
        raise typer.Exit(1)


@dead.callback(invoke_without_command=True)
def _dead(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_dead()


@dead.command("list")
def list_dead(as_json: AsJson = False, url: Url = None) -> None:
    """List the latest dead letters with their reasons."""
    with connect(url) as client:
        letters = client.dead(limit=200)
    if as_json:
        say_json(letters)
        return
    for letter in letters:
        say(f"{short_id(letter['id'])}  {letter['code']}: {letter['reason']}")
    if not letters:
        say("no dead letters")


@dead.command("replay")
def replay_dead(
    letter_ids: Annotated[list[str], typer.Argument(help="Ids, as `octet dead` lists them.")],
    url: Url = None,
) -> None:
    """Put dead letters back on the queue, with their attempts at 0."""
    with connect(url) as client:
        for letter_id in letter_ids:
            client.replay(full_id(letter_id, client.dead))
            say(f"{letter_id}  back on the queue")


def short_id(job_id: str) -> str:
    """As much of an id as people need: 12 digits of the song's hash, and 6 of the recipe's; 12 of
    an import's own.
    """
    if imported := _IMPORT.fullmatch(job_id):
        return imported[1]
    song, dash, recipe = job_id.partition("-")
    return f"{song[:12]}{dash}{recipe[:6]}" if _HASH.fullmatch(song) else job_id


def full_id(given: str, latest: Callable[..., list[dict[str, Any]]]) -> str:
    """The id that somebody means who gives a short one, or the beginning of one.

    Args:
        given: an id that is none of the latest ones' is taken as it is.
        latest: lists the jobs or dead letters among which it is looked for.

    Raises:
        SettingError: several begin so.
    """
    if _HASH.match(given):
        return given
    ids = {str(one["id"]) for one in latest(limit=200)}
    meant = {one for one in ids if given in (one, short_id(one))}
    meant = meant or {one for one in ids if one.startswith(given)}
    if len(meant) > 1:
        raise SettingError(f"{len(meant)} jobs begin with {given}", "Give more of the id")
    return meant.pop() if meant else given


def describe(job: dict[str, Any]) -> str:
    """A job's state in a few words."""
    state = str(job["state"])
    reason = f": {job['error']['message']}" if job.get("error") else ""
    if state == "fetching":
        return f"fetching{_arrived(job)}{', stopping' if job.get('cancelling') else reason}"
    if state == "running":
        left = job.get("seconds_left")
        more = f", {left:.0f} s left" if left is not None else ""
        stopping = ", stopping" if job.get("cancelling") else ""
        return f"running, {job['percent']:.0f} %{more}{stopping}"
    if state == "waiting" and job.get("position") is not None:
        return f"waiting, {job['position']} before it"
    if state == "done" and job.get("outcome") == "fallback":
        return f"done, but only a fallback{reason}"
    return state if state != "failed" else f"failed{reason}"


def _arrived(job: dict[str, Any]) -> str:
    """How much of a song has come, in MB."""
    if not job.get("bytes"):
        return ""
    size = f" of {job['size'] / 1e6:.1f}" if job.get("size") else ""
    return f", {job['bytes'] / 1e6:.1f}{size} MB"
