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
from octet.audio.song import Excerpt, Limits
from octet.cli import models
from octet.cli.batch import Batch
from octet.cli.console import counted, note, progress, say_json
from octet.cli.foreign import understanding
from octet.cli.options import RecipeOptions, seconds, with_options
from octet.cli.songs import find_songs
from octet.errors import NotAudioError, OctetError
from octet.results.place import FILENAME, LAYOUT, Naming, Wanted, owner_of, place_of
from octet.settings import PrecisionName, SeparationSettings, default_of, read_settings
from octet.tracks import folder_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octet.cli.songs import Found, Song
    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator


_BLOCK = 1 << 20


def _list_models(given: bool) -> None:
    if given:
        models.list_models()
        raise typer.Exit


@understanding
@with_options
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
    *,
    recipe: RecipeOptions,
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load pickled .th files; they can run code.")
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            "-d",
            "--device",
            help="Where to compute: auto, cpu, cuda, cuda:1 or mps.",
            show_default=default_of(SeparationSettings, "device"),
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads that compute on a processor.", show_default="all its cores"),
    ] = None,
    precision: Annotated[
        PrecisionName | None,
        typer.Option(help="Arithmetic.", show_default=default_of(SeparationSettings, "precision")),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Separate from there on alone: 90, 1:30 or 1:02:03."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Separate up to there alone.")
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
    list_models: Annotated[
        bool,
        typer.Option(
            *("--list-models", "--list_models"),
            help="List the models, as octet models does.",
            is_eager=True,
            callback=_list_models,
        ),
    ] = False,
) -> None:
    """Separate songs into vocals, drums, bass, other, original, full, instrumental, acapella.

    A song's tracks lie in a folder of its name. Another song of that name gets a folder with a
    number; the same song with other settings takes the place of its earlier tracks.
    """
    del list_models  # its callback has ended the command
    given = recipe.given()
    tracks = given.pop("tracks", None)
    settings = read_settings(
        SeparationSettings,
        **given,
        trust_checkpoint=trust_checkpoint or None,
        device=device,
        threads=threads,
        precision=precision,
    )
    excerpt = _excerpt(start, end)
    naming = Naming(layout, filename)
    found = find_songs(files, output, Limits.from_settings(settings))
    batch = Batch(found.songs, quiet=quiet or as_json, bars=not quiet, verbose=verbose)
    _tell_what_is_not(found, batch, quiet=quiet, verbose=verbose)
    separator = load(settings, tracks, naming)
    if not (quiet or as_json):
        note(separator.model.description)
    work = _Work(
        *(separator, output, batch, excerpt), skip_done=skip_done, force=force, as_json=as_json
    )
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
    tracks: Sequence[str] | None = None,
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


def _excerpt(start: str | None, end: str | None) -> Excerpt | None:
    """The part of each song that is asked for; None for all of it."""
    if start is None and end is None:
        return None
    return Excerpt(
        0.0 if start is None else seconds("--start", start),
        None if end is None else seconds("--end", end),
    )


def _called(name: str, excerpt: Excerpt | None) -> str:
    """A song's folder; that of a part of it says which: `Lied (0m30s-1m5s)`."""
    if excerpt is None:
        return name
    ends = [
        "" if one is None else f"{one // 60:.0f}m{round(one % 60, 3):g}s"
        for one in (excerpt.start, excerpt.end)
    ]
    return f"{name} ({'-'.join(ends)})"


@dataclass(frozen=True)
class _Work:
    """Separates the songs of a batch, one by one. The fields are the options of the command."""

    separator: Separator
    output: Path
    batch: Batch
    excerpt: Excerpt | None
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
        name = folder_name(path)
        named = naming.folder(_called(name, self.excerpt), identity.name)
        first = self.output / named.parent / song.below / named.name
        folder = place_of(first, sha256)
        part = (self.excerpt.start, self.excerpt.end) if self.excerpt else None
        wanted = Wanted(sha256, name, separator.recipe, identity.sha256, naming, part)
        standing = None if self.force else wanted.found_in(folder)
        if standing is not None:
            batch.was_there(folder, tell=not self.skip_done)
            return standing
        replaced = owner_of(folder) == sha256
        with batch.bar() as show:
            done = separator.separate(
                path, first, beside=True, excerpt=self.excerpt, on_progress=show
            )
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
