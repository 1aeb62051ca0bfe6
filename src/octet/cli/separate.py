"""`octet separate`: songs to stems, here and now."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from octet.audio.files import refusal
from octet.cli.console import fail, note, progress, say, say_json, say_table
from octet.errors import NotAudioError, OctetError, SettingError
from octet.formats import FORMATS, FormatName
from octet.settings import (
    DamagedName,
    DeviceName,
    PrecisionName,
    SeparationSettings,
    read_settings,
)
from octet.tracks import folder_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator


_BLOCK = 1 << 20
_WITH_BITRATE = ", ".join(name for name, one in FORMATS.items() if one.bitrates)


def separate(
    files: Annotated[
        list[str],
        typer.Argument(help="Songs, - for standard input; put -- before names with a dash."),
    ],
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
    bits: Annotated[
        int | None,
        typer.Option(help="16, 24 or 32 (float) for flac and wav; 16 or 24 for a lossless stem."),
    ] = None,
    bitrate: Annotated[int | None, typer.Option(help=f"kb/s for {_WITH_BITRATE}.")] = None,
    tracks: Annotated[
        str | None, typer.Option(help="Only these, comma-separated: vocals,instrumental,...")
    ] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Where to compute.")] = None,
    precision: Annotated[PrecisionName | None, typer.Option(help="Arithmetic.")] = None,
    overlap: Annotated[float | None, typer.Option(help="Overlap of segments, 0 to 0.99.")] = None,
    shifts: Annotated[int | None, typer.Option(help="Average N passes at random offsets.")] = None,
    damaged: Annotated[
        DamagedName | None,
        typer.Option(help="Of a song that is damaged in a place: refuse it, or put silence there."),
    ] = None,
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
        damaged=damaged,
    )
    separator = load(settings, _names(tracks))
    if not as_json:
        note(separator.model.description)
    failed = False
    songs = [Path("stdin" if file == "-" else file) for file in files]
    for file, song, name in zip(files, songs, folder_names(songs), strict=True):
        try:
            done = _separate_one(separator, file, output / name)
            if as_json:
                say_json(json.loads(done.to_json()), indent=None)
            else:
                _report(done, output / name)
        except Exception as error:  # whatever it is, the songs that follow are not to blame
            reason = error if isinstance(error, OctetError) else f"unforeseen {error!r}"
            fail(f"{song.name or song}: {reason}")
            failed = True
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


def _separate_one(separator: Separator, file: str, folder: Path) -> Manifest:
    with ExitStack() as stack:
        path = stack.enter_context(_standard_input(separator)) if file == "-" else Path(file)
        show = stack.enter_context(progress())
        return separator.separate(
            path, folder, on_progress=lambda share: show(path.name, share, 1.0)
        )


@contextmanager
def _standard_input(separator: Separator) -> Iterator[Path]:
    """Standard input as a file in the scratch folder: a song is read more than once."""
    if sys.stdin is None or sys.stdin.isatty():
        raise NotAudioError("nothing comes in", "Write octet separate - < song.mp3")
    most = separator.limits.max_bytes
    with ExitStack() as stack:
        try:
            folder = TemporaryDirectory(prefix="octet-", dir=separator.scratch)
            path = Path(stack.enter_context(folder)) / "stdin"
            with path.open("wb") as file:
                while block := sys.stdin.buffer.read(_BLOCK):
                    file.write(block)
                    if most is not None and file.tell() > most:
                        break  # the separator refuses it, as it does any other file
        except OSError as error:
            raise refusal(separator.scratch, error) from error
        yield path


def _report(done: Manifest, folder: Path) -> None:
    rows = [
        (name, f"{track.rms_db:.1f}", f"{track.peak_db:.1f}", f"{track.bytes / 1000:.0f}")
        for name, track in done.tracks.items()
    ]
    say_table(rows, header=("track", "RMS dBFS", "peak dBFS", "kB"), right=3)
    seconds = done.timings["total"]
    speed = done.song.duration / seconds if seconds else 0.0
    say(
        f"{folder}: {len(done.tracks)} track{'s'[: len(done.tracks) - 1]} in {seconds:.1f} s "
        f"({speed:.1f} times real time), null {done.null_db:.0f} dB before encoding"
    )
    if done.song.silenced:
        note(f"{done.song.silenced:.2f} s of the song were damaged, and are silent")
    if done.clipped:
        note(f"{done.clipped} samples were beyond full scale; --format wav --bits 32 keeps them")
