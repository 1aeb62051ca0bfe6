"""`octet separate`: songs to stems, here and now."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from octet.cli.console import fail, note, out, printable, progress_bar
from octet.errors import AudioError, OutputError, SettingError
from octet.settings import SeparationSettings, read_settings
from octet.tracks import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator


class FormatChoice(StrEnum):
    """File formats of the tracks."""

    mp3 = "mp3"
    flac = "flac"
    wav = "wav"
    ogg = "ogg"
    opus = "opus"
    m4a = "m4a"


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class PrecisionChoice(StrEnum):
    """Arithmetic of the network."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


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
        FormatChoice | None, typer.Option("--format", help="File format of the tracks.")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="16, 24 or 32 (float) for flac and wav.")] = None,
    bitrate: Annotated[int | None, typer.Option(help="kb/s for mp3, ogg, opus, m4a.")] = None,
    tracks: Annotated[
        str | None, typer.Option(help="Only these, comma-separated: vocals,instrumental,...")
    ] = None,
    device: Annotated[DeviceChoice | None, typer.Option(help="Where to compute.")] = None,
    precision: Annotated[PrecisionChoice | None, typer.Option(help="Arithmetic.")] = None,
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
        format=audio_format and audio_format.value,
        bits=bits,
        bitrate=bitrate,
        device=device and device.value,
        precision=precision and precision.value,
        overlap=overlap,
        shifts=shifts,
    )
    separator = load(settings, _names(tracks))
    if not as_json:
        note(separator.source.description)
    failed = 0
    for file, folder in _folders(files, output):
        try:
            done = _one(separator, file, folder)
        except (AudioError, OutputError) as error:
            fail(f"{file.name or file}: {error}")
            failed += 1
            continue
        if as_json:
            typer.echo(json.dumps(json.loads(done.to_json()), ensure_ascii=False))
        else:
            _report(done, folder)
    if failed:
        raise typer.Exit(1)


def load(settings: SeparationSettings, tracks: tuple[str, ...] | None = None) -> Separator:
    """A separator as the settings say, with a bar while its model is fetched or converted."""
    from octet.separation.separator import Separator

    with progress_bar() as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(what: str, done: int, total: int) -> None:
            bar.update(
                task, description=printable(what), completed=done, total=total or None, visible=True
            )

        return Separator.from_settings(settings, tracks=tracks, on_model=show)


def _names(tracks: str | None) -> tuple[str, ...] | None:
    if tracks is None:
        return None
    names = tuple(name.strip() for name in tracks.split(",") if name.strip())
    if not names:
        raise SettingError("--tracks names no track", "For example --tracks vocals,instrumental")
    return names


def _folders(files: Iterable[Path], output: Path) -> Iterable[tuple[Path, Path]]:
    """A folder for each file; songs of one name in one call get numbers."""
    taken: set[str] = set()
    for file in files:
        name = folder_name(file)
        number = 1
        # Two names may differ in capitals alone, which some file systems do not tell apart.
        while (unique := name if number == 1 else f"{name} ({number})").casefold() in taken:
            number += 1
        taken.add(unique.casefold())
        yield file, output / unique


def _one(separator: Separator, file: Path, folder: Path) -> Manifest:
    with progress_bar() as bar:
        task = bar.add_task(printable(file.name), total=1.0)
        return separator.separate(
            file, folder, on_progress=lambda share: bar.update(task, completed=share)
        )


def _report(done: Manifest, folder: Path) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("track")
    for column in ("RMS dBFS", "peak dBFS", "kB"):
        table.add_column(column, justify="right")
    for name, track in done.tracks.items():
        size = f"{track.bytes / 1000:.0f}"
        table.add_row(name, f"{track.rms_db:.1f}", f"{track.peak_db:.1f}", size)
    out.print(table)
    seconds = done.timings["total"]
    speed = done.song.duration / seconds if seconds else 0.0
    out.print(
        f"{printable(str(folder))}: {len(done.tracks)} tracks in {seconds:.1f} s "
        f"({speed:.1f} times real time), null {done.null_db:.0f} dB",
        markup=False,
    )
    if done.clipped:
        note(f"{done.clipped} samples were beyond full scale; --format wav --bits 32 keeps them")
