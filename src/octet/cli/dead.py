"""`octet dead`: jobs that were given up, and messages that could not be read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from octet.cli.console import out, printable
from octet.cli.remote import AsJson, Url, connect

app = typer.Typer(help="List dead letters, and replay them.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _listed_unless_told(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_dead()


@app.command("list")
def list_dead(as_json: AsJson = False, url: Url = None) -> None:
    """List the latest dead letters with their reasons."""
    with connect(url) as client:
        letters = client.dead(limit=200)
    if as_json:
        typer.echo(json.dumps(letters, indent=2, ensure_ascii=False))
        return
    for letter in letters:
        reason = printable(letter["reason"])
        out.print(f"{letter['id']}  {letter['code']}: {reason}", markup=False)
    if not letters:
        out.print("no dead letters")


@app.command("replay")
def replay_dead(
    letter_ids: Annotated[list[str], typer.Argument(help="Ids, as `octet dead` lists them.")],
    url: Url = None,
) -> None:
    """Put dead letters back on the queue, with their attempts at 0."""
    with connect(url) as client:
        for letter_id in letter_ids:
            client.replay(letter_id)
            out.print(f"{printable(letter_id)}  back on the queue", markup=False)
