"""`octet fetch` and `rm`: results of a service, brought here or deleted there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octet.cli.console import AsJson, counted, fail, say, say_json
from octet.cli.jobs import Url, connect, full_id
from octet.cli.options import track_names
from octet.errors import OctetError, ServiceError
from octet.results.place import place_of
from octet.tracks import folder_name

Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids of jobs, or the beginning of them.")
]


def fetch(
    ids: Ids,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the songs' folders.")
    ] = Path("separated"),
    tracks: Annotated[
        str | None,
        typer.Option(
            help="Only these, comma-separated: vocals,instrumental,...", show_default="all"
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Fetch the tracks of songs that a service has separated, into folders of their names.

    A folder that holds another song's result is left alone: the song gets one with a number.
    """
    wanted = None if tracks is None else track_names(tracks)
    failed = False
    with connect(url) as client:
        for given in ids:
            try:
                song_id = full_id(given, client.jobs)
                song = client.manifest(song_id)["song"]
                folder = output / folder_name(Path(song["name"]))
                manifest = client.download_all(song_id, folder, wanted, beside=True)
            except OctetError as error:
                fail(f"{given}: {_not_there(error)}")
                failed = True
                continue
            if as_json:
                say_json(manifest, indent=None)
            else:
                count = counted(len(manifest["tracks"]), "track")
                say(f"{place_of(folder, song['sha256'])}: {count}")
    if failed:
        raise typer.Exit(1)


def remove(ids: Ids, url: Url = None) -> None:
    """Delete results of a service: the tracks, the manifest, and what was uploaded for them.

    What waits or runs is cancelled first, by octet cancel.
    """
    failed = False
    with connect(url) as client:
        for given in ids:
            try:
                song_id = full_id(given, client.jobs)
                client.delete(song_id)
            except OctetError as error:
                fail(f"{given}: {error}")
                failed = True
            else:
                say(f"{song_id}  deleted")
    if failed:
        raise typer.Exit(1)


def _not_there(error: OctetError) -> str:
    if isinstance(error, ServiceError) and error.status == 404:
        return f"{error.message}. octet status tells how far it is"
    return str(error)
