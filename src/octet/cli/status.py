"""`octet status`: jobs of a service."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from octet.cli.console import out, printable
from octet.cli.remote import AsJson, Url, connect, how_far


def status(
    job_id: Annotated[
        str | None, typer.Argument(help="A job's id; the latest if left out.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show how far a job is, or the latest jobs."""
    with connect(url) as client:
        jobs = [client.job(job_id)] if job_id else client.jobs(limit=20)
    if as_json:
        typer.echo(json.dumps(jobs[0] if job_id else jobs, indent=2, ensure_ascii=False))
    elif job_id:
        _show(jobs[0])
    elif jobs:
        out.print(_table(jobs))
    else:
        out.print("no jobs")


def _show(job: dict[str, Any]) -> None:
    out.print(f"{job['id']}  {how_far(job)}", markup=False)
    for name in ("name", "priority", "attempts", "created", "started", "finished"):
        if job.get(name):
            out.print(f"  {name}: {printable(str(job[name]))}", markup=False)


def _table(jobs: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("job", "state", "song"):
        table.add_column(column, overflow="fold")
    for job in jobs:
        table.add_row(job["id"], how_far(job), printable(job["name"]))
    return table
