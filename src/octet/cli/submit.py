"""`octet submit`: songs to a service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from octet.audio.song import Limits
from octet.cli.console import AsJson, counted, fail, note, progress, say, say_json
from octet.cli.jobs import Url, connect, describe
from octet.cli.options import RecipeOptions, with_options
from octet.cli.songs import find_songs
from octet.errors import OctetError, ServiceError
from octet.results.place import place_of
from octet.tracks import folder_name

PriorityName = Literal["high", "normal", "low"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octet.client import Client


@with_options
def submit(
    songs: Annotated[
        list[str], typer.Argument(help="Files, folders of songs, or http(s) addresses.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Fetch the tracks to folders in there (waits)."),
    ] = None,
    *,
    recipe: RecipeOptions,
    priority: Annotated[
        PriorityName | None, typer.Option(help="Before or after others.", show_default="normal")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Address that is called at the end.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit songs to a service; with -o, wait for their tracks and fetch them."""
    options: dict[str, Any] = {**recipe.given(), "priority": priority, "webhook": webhook}
    given, failed = _given(songs, output)
    with connect(url) as client:
        jobs = []
        for song, below in given:
            try:
                jobs.append((song, below, client.submit(song, **options)))
            except (OSError, OctetError) as error:
                fail(f"{song}: {_reason(error)}")
                failed = True
                if isinstance(error, ServiceError) and error.status in (0, 401):
                    break  # it will be the same for all others
        for song, below, job in jobs:
            folder = None if output is None else output / below / folder_name(Path(song))
            failed |= not _finish(client, song, job, wait, folder, as_json)
    if failed:
        raise typer.Exit(1)


def _given(songs: Sequence[str], output: Path | None) -> tuple[list[tuple[str, Path]], bool]:
    """Files and addresses, those in folders with where they lie there; and whether some failed."""
    given: list[tuple[str, Path]] = []
    failed = False
    for song in songs:
        if not os.path.isdir(song):
            given.append((song, Path()))
            continue
        found = find_songs([song], output or Path(song), Limits())
        given += [(str(one.path), one.below) for one in found.songs]
        if found.passed:
            note(f"{counted(len(found.passed), 'file')} passed over, without sound")
        for name, error in found.refused:
            fail(f"{name}: {error}")
            failed = True
    return given, failed


def _finish(
    client: Client, song: str, job: dict[str, Any], wait: bool, folder: Path | None, as_json: bool
) -> bool:
    """Waits and fetches, as far as that was asked for, and says what there is."""
    try:
        if wait or folder is not None:
            with progress() as show:
                job = client.wait(
                    job["id"], on_progress=lambda seen: show(*_drawn(Path(song).name, seen))
                )
        if folder is not None:
            manifest = client.download_all(job["id"], folder, beside=True)
            folder = place_of(folder, manifest["song"]["sha256"])
    except (OSError, OctetError) as error:
        fail(f"{song}: {_reason(error)}")
        return False
    if as_json:
        say_json(job, indent=None)
    else:
        say(f"{job['id']}  {describe(job)}{'' if folder is None else f'  {folder}'}")
    if job.get("outcome") == "fallback":
        note(f"{song}: the separation failed, this is a fallback")
    return True


def _drawn(name: str, job: dict[str, Any]) -> tuple[str, float, float]:
    """What a bar shows of a job: what is done, how much of it, and of how much."""
    if job["state"] == "fetching":
        return f"{name} (fetching)", job.get("bytes") or 0.0, job.get("size") or 0.0
    return name, job["percent"], 100.0


def _reason(error: OSError | OctetError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
