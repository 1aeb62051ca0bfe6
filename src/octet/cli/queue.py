"""`octet queue`: what waits and what runs."""

from __future__ import annotations

import json

import typer

from octet.cli.console import out
from octet.cli.remote import AsJson, Url, connect, how_far


def queue(as_json: AsJson = False, url: Url = None) -> None:
    """Show what runs and what waits, in the order in which it will run."""
    with connect(url) as client:
        found = client.queue()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for job in found["running"]:
        out.print(f"{job['id']}  {how_far(job)}", markup=False)
    for place, entry in enumerate(found["waiting"]):
        priority = "" if entry["priority"] == "normal" else f", {entry['priority']} priority"
        out.print(f"{entry['id']}  waiting, {place} before it{priority}", markup=False)
    more = found["depth"] - len(found["waiting"])
    if more > 0:
        out.print(f"... and {more} more")
    out.print(
        f"{found['depth']} waiting, {len(found['running'])} running, {found['workers']} workers"
    )
