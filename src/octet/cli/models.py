"""`octet models`: which there are, whose they are, and where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from octet.cli.console import note, out, printable, progress_bar
from octet.errors import SettingError
from octet.settings import SeparationSettings, read_settings

app = typer.Typer(help="List, fetch and convert models.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _listed_unless_told(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """List the models: licence, and where they lie on this machine."""
    from octet.separation.models.cache import Cache
    from octet.separation.models.resolve import list_models as listed

    cache = Cache(read_settings(SeparationSettings).cache)
    found = listed(cache)
    if as_json:
        rows = [
            {
                "name": one.entry.name,
                "description": one.entry.description,
                "sources": one.entry.sources,
                "licence": one.entry.licence,
                "commercial": one.entry.commercial,
                "source": one.entry.source,
                "where": str(one.where) if one.where else None,
                "converted": one.converted,
            }
            for one in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "commercial use", "on this machine", "what it is"):
        table.add_column(column, overflow="fold")
    for one in found:
        here = "-"
        if one.entry.bundled:
            here = "bundled" if one.where else "missing"
        elif one.where or one.converted:
            here = "converted" if one.converted else "fetched"
        allowed = "yes" if one.entry.commercial else "no"
        table.add_row(one.entry.name, allowed, here, f"{one.entry.description} {one.entry.licence}")
    out.print(table)
    note(f"cache: {cache.folder}")


@app.command()
def pull(name: Annotated[str, typer.Argument(help="A model's name.")]) -> None:
    """Fetch a model's files, so that it can be used offline."""
    from octet.separation.models.cache import Cache
    from octet.separation.models.resolve import pull as fetch

    cache = Cache(read_settings(SeparationSettings).cache)
    with progress_bar() as bar:
        task = bar.add_task(name, total=None)
        folder = fetch(
            name,
            cache=cache,
            on_progress=lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total or None
            ),
        )
    out.print(printable(str(folder)), markup=False)


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Name or folder of the model.")],
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load pickled .th files; they can run code.")
    ] = False,
) -> None:
    """Convert a model for processors once, so that PyTorch is not needed any more."""
    from octet.separation.models.cache import Cache
    from octet.separation.models.resolve import resolve

    settings = read_settings(SeparationSettings, trust_checkpoint=trust_checkpoint or None)
    with progress_bar() as bar:
        task = bar.add_task(printable(Path(model).name), total=None)
        resolved = resolve(
            model,
            policy=settings.model_policy,
            trust_checkpoint=settings.trust_checkpoint,
            cache=Cache(settings.cache),
            on_progress=lambda what, done, total: bar.update(
                task, description=printable(what), completed=done, total=total or None
            ),
        )
    for member in resolved.members:
        if member.path is None:  # resolve() was asked for ONNX
            raise SettingError(f"{model} could not be converted")
        out.print(printable(str(member.path)), markup=False)
