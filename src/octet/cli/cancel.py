"""`octet cancel`: ends a job."""

from __future__ import annotations

from typing import Annotated

import typer

from octet.cli.console import fail, out
from octet.cli.remote import Url, connect, how_far


def cancel(
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    url: Url = None,
) -> None:
    """Cancel a job. One that runs stops within seconds; what has ended stays as it is."""
    with connect(url) as client:
        job = client.cancel(job_id)
    out.print(f"{job['id']}  {how_far(job)}", markup=False)
    if job["state"] in ("done", "failed"):
        fail("it had ended before")
        raise typer.Exit(1)
