"""`octet separate`: songs to stems, here and now."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from octet.audio.files import SourceFile, refusal
from octet.audio.song import Limits
from octet.cli.batch import Batch
from octet.cli.console import counted, note, progress, say_json
from octet.cli.songs import find_songs
from octet.errors import NotAudioError, OctetError, SettingError
from octet.formats import FORMATS, FormatName
from octet.results.place import FILENAME, LAYOUT, Naming, Wanted, owner_of, place_of
from octet.settings import (
    DamagedName,
    DeviceName,
    PrecisionName,
    SeparationSettings,
    read_settings,
)
from octet.tracks import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octet.cli.songs import Found, Song
    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator


_BLOCK = 1 << 20
_WITH_BITRATE = ", ".join(name for name, one in FORMATS.items() if one.bitrates)


def separate(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Songs, folders of songs, - for standard input; put -- before names with a dash."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the songs' folders.")
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
    layout: Annotated[
        str, typer.Option(help="Of songs' folders: {song}, {model}, as in {model}/{song}.")
    ] = LAYOUT,
    filename: Annotated[
        str, typer.Option(help="Of tracks' files: {stem}, {ext}, {song}, {model}.")
    ] = FILENAME,
    skip_done: Annotated[
        bool, typer.Option("--skip-done", help="Pass over songs that are there already in silence.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Separate songs again that are there already.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say nothing but what went wrong.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Tell the tracks' levels, and what is no song.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each song's manifest, one a line.")
    ] = False,
) -> None:
    """Separate songs into vocals, drums, bass, other, original, full, instrumental, acapella.

    A song's tracks lie in a folder of its name. Another song of that name gets a folder with a
    number; the same song with other settings takes the place of its earlier tracks.
    """
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
    naming = Naming(layout, filename)
    found = find_songs(files, output, Limits.from_settings(settings))
    batch = Batch(found.songs, quiet=quiet or as_json, bars=not quiet, verbose=verbose)
    _tell_what_is_not(found, batch, quiet=quiet, verbose=verbose)
    separator = load(settings, _names(tracks), naming)
    if not (quiet or as_json):
        note(separator.model.description)
    work = _Work(separator, output, batch, skip_done=skip_done, force=force, as_json=as_json)
    try:
        for song in batch:
            work.separate(song)
    except KeyboardInterrupt:
        batch.stopped(output)
        raise SystemExit(130) from None
    batch.ended()
    if batch.failed:
        raise typer.Exit(1)


def load(
    settings: SeparationSettings,
    tracks: tuple[str, ...] | None = None,
    naming: Naming | None = None,
) -> Separator:
    """A separator as the settings say, with a bar while its model is fetched or converted."""
    from octet.separation.separator import Separator

    with progress() as show:
        return Separator.from_settings(settings, tracks=tracks, naming=naming, on_model=show)


def _tell_what_is_not(found: Found, batch: Batch, *, quiet: bool, verbose: bool) -> None:
    """Tells what cannot be separated, before a model is loaded; ends if that is all."""
    for name, error in found.refused:
        batch.went_wrong(name, error)
    if found.passed and not quiet:
        note(f"{counted(len(found.passed), 'file')} passed over, without sound")
    for path, error in found.passed if verbose else ():
        note(f"  {path}: {error.message}")
    if not found.songs:
        raise typer.Exit(1)


def _names(tracks: str | None) -> tuple[str, ...] | None:
    if tracks is None:
        return None
    names = tuple(name.strip() for name in tracks.split(",") if name.strip())
    if not names:
        raise SettingError("--tracks names no track", "For example --tracks vocals,instrumental")
    return names


@dataclass(frozen=True)
class _Work:
    """Separates the songs of a batch, one by one. The fields are the options of the command."""

    separator: Separator
    output: Path
    batch: Batch
    skip_done: bool
    force: bool
    as_json: bool

    def separate(self, song: Song) -> None:
        """Separates a song, or tells why not; the songs that follow are not to blame."""
        try:
            with ExitStack() as stack:
                path = song.path or stack.enter_context(_standard_input(self.separator))
                done = self._done(song, path)
            if self.as_json:
                say_json(json.loads(done.to_json()), indent=None)
        except Exception as error:
            reason = error if isinstance(error, OctetError) else f"unforeseen {error!r}"
            self.batch.went_wrong(song.name, reason)

    def _done(self, song: Song, path: Path) -> Manifest:
        """Separates it, unless the result that is wanted is there already."""
        separator, batch = self.separator, self.batch
        identity, naming = separator.model.identity, separator.naming
        with SourceFile(path, separator.limits) as file:
            sha256 = file.sha256()
        named = naming.folder(folder_name(path), identity.name)
        first = self.output / named.parent / song.below / named.name
        folder = place_of(first, sha256)
        wanted = Wanted(sha256, folder_name(path), separator.recipe, identity.sha256, naming)
        standing = None if self.force else wanted.found_in(folder)
        if standing is not None:
            batch.was_there(folder, tell=not self.skip_done)
            return standing
        replaced = owner_of(folder) == sha256
        with batch.bar() as show:
            done = separator.separate(path, first, beside=True, on_progress=show)
        batch.finished(done, place_of(first, done.song.sha256), replaced=replaced)
        return done


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
