"""`octet submit`: songs to a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octet.cli.console import fail, note, out, printable, progress_bar
from octet.cli.remote import AsJson, Url, connect, how_far
from octet.cli.separate import FormatChoice  # noqa: TC001  # typer reads it
from octet.errors import ServiceError
from octet.tracks import folder_name

if TYPE_CHECKING:
    from octet.client import Client


def submit(
    songs: Annotated[list[str], typer.Argument(help="Files, or http(s) addresses.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Fetch the tracks to folders in there (waits)."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    audio_format: Annotated[
        FormatChoice | None, typer.Option("--format", help="File format of the tracks.")
    ] = None,
    tracks: Annotated[str | None, typer.Option(help="Only these, comma-separated.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Address to tell of the end.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit songs to a service, and fetch their tracks if asked."""
    options: dict[str, Any] = {
        "model": model,
        "format": audio_format and audio_format.value,
        "tracks": [part.strip() for part in tracks.split(",")] if tracks else None,
        "priority": priority,
        "webhook": webhook,
    }
    failed = False
    with connect(url) as client:
        jobs = []
        for song in songs:
            try:
                jobs.append((song, client.submit(song, **options)))
            except (OSError, ServiceError) as error:
                fail(f"{song}: {_reason(error)}")
                failed = True
                if isinstance(error, ServiceError) and error.status in (0, 401):
                    break  # it will be the same for all others
        for number, (song, job) in enumerate(jobs):
            folder = None if output is None else output / _folder(jobs[:number], song)
            failed |= not _finish(client, song, job, wait, folder, as_json)
    if failed:
        raise typer.Exit(1)


def _finish(
    client: Client, song: str, job: dict[str, Any], wait: bool, folder: Path | None, as_json: bool
) -> bool:
    """Waits and fetches, as far as that was asked for, and says what there is."""
    try:
        if wait or folder is not None:
            job = _waited(client, song, job)
        if folder is not None:
            client.download_all(job["id"], folder)
    except (OSError, ServiceError) as error:
        fail(f"{song}: {_reason(error)}")
        return False
    if as_json:
        typer.echo(json.dumps(job, ensure_ascii=False))
    else:
        where = "" if folder is None else f"  {printable(str(folder))}"
        out.print(f"{job['id']}  {how_far(job)}{where}", markup=False)
    if job.get("outcome") == "fallback":
        note(f"{song}: the separation failed, this is a fallback")
    return True


def _waited(client: Client, song: str, job: dict[str, Any]) -> dict[str, Any]:
    with progress_bar() as bar:
        task = bar.add_task(printable(Path(song).name), total=100.0)
        return client.wait(
            job["id"], on_progress=lambda seen: bar.update(task, completed=seen["percent"])
        )


def _folder(before: list[tuple[str, dict[str, Any]]], song: str) -> str:
    """The folder of a song; songs of one name in one call get numbers."""
    name = folder_name(Path(song))
    same = sum(folder_name(Path(other)).casefold() == name.casefold() for other, _ in before)
    return f"{name} ({same + 1})" if same else name


def _reason(error: OSError | ServiceError) -> str:
    return str(error) if isinstance(error, ServiceError) else error.strerror or str(error)
