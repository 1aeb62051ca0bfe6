"""`octet separate`: songs to stems, here and now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octet.cli.console import fail, note, progress, say, say_json, say_table
from octet.errors import AudioError, OutputError, SettingError
from octet.formats import FormatName  # noqa: TC001  # typer reads it
from octet.settings import DeviceName, PrecisionName, SeparationSettings, read_settings
from octet.tracks import folder_names

if TYPE_CHECKING:
    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator


def separate(
    files: Annotated[list[Path], typer.Argument(help="Songs; put -- before names with a dash.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the folders of tracks.")
    ] = Path("separated"),
    model: Annotated[str | None, typer.Option(help="Name or folder of the model.")] = None,
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load pickled .th files; they can run code.")
    ] = False,
    audio_format: Annotated[
        FormatName | None, typer.Option("--format", help="File format of the tracks.")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="16, 24 or 32 (float) for flac and wav.")] = None,
    bitrate: Annotated[int | None, typer.Option(help="kb/s for mp3, ogg, opus, m4a.")] = None,
    tracks: Annotated[
        str | None, typer.Option(help="Only these, comma-separated: vocals,instrumental,...")
    ] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to compute.")] = None,
    precision: Annotated[PrecisionName | None, typer.Option(help="Arithmetic.")] = None,
    overlap: Annotated[float | None, typer.Option(help="Overlap of segments, 0 to 0.99.")] = None,
    shifts: Annotated[int | None, typer.Option(help="Average N passes at random offsets.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each song's manifest, one a line.")
    ] = False,
) -> None:
    """Separate songs into vocals, drums, bass, other, original, full, instrumental, acapella."""
    settings = read_settings(
        SeparationSettings,
        model=model,
        trust_checkpoint=trust_checkpoint or None,
        format=audio_format,
        bits=bits,
        bitrate=bitrate,
        device=device,
        precision=precision,
        overlap=overlap,
        shifts=shifts,
    )
    separator = load(settings, _names(tracks))
    if not as_json:
        note(separator.model.description)
    failed = False
    for file, name in zip(files, folder_names(files), strict=True):
        folder = output / name
        try:
            done = _separate_one(separator, file, folder)
        except (AudioError, OutputError) as error:
            fail(f"{file.name or file}: {error}")
            failed = True
            continue
        if as_json:
            say_json(json.loads(done.to_json()), indent=None)
        else:
            _report(done, folder)
    if failed:
        raise typer.Exit(1)


def load(settings: SeparationSettings, tracks: tuple[str, ...] | None = None) -> Separator:
    """A separator as the settings say, with a bar while its model is fetched or converted."""
    from octet.separation.separator import Separator

    with progress() as show:
        return Separator.from_settings(settings, tracks=tracks, on_model=show)


def _names(tracks: str | None) -> tuple[str, ...] | None:
    if tracks is None:
        return None
    names = tuple(name.strip() for name in tracks.split(",") if name.strip())
    if not names:
        raise SettingError("--tracks names no track", "For example --tracks vocals,instrumental")
    return names


def _separate_one(separator: Separator, file: Path, folder: Path) -> Manifest:
    with progress() as show:
        return separator.separate(
            file, folder, on_progress=lambda share: show(file.name, share, 1.0)
        )


def _report(done: Manifest, folder: Path) -> None:
    rows = [
        (name, f"{track.rms_db:.1f}", f"{track.peak_db:.1f}", f"{track.bytes / 1000:.0f}")
        for name, track in done.tracks.items()
    ]
    say_table(rows, header=("track", "RMS dBFS", "peak dBFS", "kB"), right=3)
    seconds = done.timings["total"]
    speed = done.song.duration / seconds if seconds else 0.0
    say(
        f"{folder}: {len(done.tracks)} tracks in {seconds:.1f} s "
        f"({speed:.1f} times real time), null {done.null_db:.0f} dB"
    )
    if done.clipped:
        note(f"{done.clipped} samples were beyond full scale; --format wav --bits 32 keeps them")
