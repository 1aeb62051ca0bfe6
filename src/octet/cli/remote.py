"""What the commands that talk to a service have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from octet.cli.console import printable

if TYPE_CHECKING:
    from octet.client import Client

Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the service; else OCTET_URL, else port 5000."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def connect(url: str | None) -> Client:
    """A client of the service; its key comes from OCTET_KEY, never from the command line."""
    from octet.client import Client

    return Client(url)


def how_far(job: dict[str, Any]) -> str:
    """A job's state in a few words."""
    state = str(job["state"])
    if state == "running":
        left = job.get("seconds_left")
        more = f", {left:.0f} s left" if left is not None else ""
        stopping = ", stopping" if job.get("cancelling") else ""
        return f"running, {job['percent']:.0f} %{more}{stopping}"
    if state == "waiting" and job.get("position") is not None:
        return f"waiting, {job['position']} before it"
    if state == "done" and job.get("outcome") == "fallback":
        return f"done, but only a fallback{_why(job)}"
    return state if state != "failed" else f"failed{_why(job)}"


def _why(job: dict[str, Any]) -> str:
    error = job.get("error")
    return f": {printable(str(error['message']))}" if error else ""
