"""Options that several commands take, each defined once: those of a recipe, and how to add them."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from octet.errors import SettingError
from octet.formats import FORMATS, FormatName
from octet.settings import DamagedName, SeparationSettings, default_of
from octet.tracks import STEMS, TRACKS, WITHOUT

if TYPE_CHECKING:
    from collections.abc import Callable

_LOSSY = ", ".join(name for name, one in FORMATS.items() if one.bitrates)
_DEMUCS = "Demucs' names"
_TIME = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,5}):)?(\d{1,7}(?:\.\d{1,9})?)")


def _default(name: str) -> str:
    return default_of(SeparationSettings, name)


def complete_models(incomplete: str) -> list[str]:
    """Names of models that begin so, for the shell."""
    from octet.separation.models.registry import REGISTRY

    return [name for name in REGISTRY if name.startswith(incomplete)]


def complete_tracks(incomplete: str) -> list[str]:
    """Lists of tracks that go on so, for the shell."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in TRACKS if name.startswith(last)]


@dataclass(frozen=True)
class RecipeOptions:
    """What shapes a result, as options of a command; None is what the settings say."""

    model: Annotated[
        str | None,
        typer.Option(
            *("-n", "--name", "-m", "--model"),
            help="Model, its folder, or two of them (A+B): see octet models.",
            show_default=_default("model"),
            autocompletion=complete_models,
        ),
    ] = None
    audio_format: Annotated[
        FormatName | None,
        typer.Option(
            "-f", "--format", help="File format of the tracks.", show_default=_default("format")
        ),
    ] = None
    tracks: Annotated[
        str | None,
        typer.Option(
            help="Only these, comma-separated: vocals,instrumental,...",
            show_default="all",
            autocompletion=complete_tracks,
        ),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(
            help="16, 24 or 32 (float) for flac and wav; 16 or 24 for a lossless stem.",
            show_default="the song's own",
        ),
    ] = None
    bitrate: Annotated[
        int | None,
        typer.Option(
            "--bitrate",
            "--mp3-bitrate",
            help=f"kb/s for {_LOSSY}.",
            show_default=f"{FORMATS['mp3'].bitrate} for mp3",
        ),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option(help="Overlap of segments, 0 to 0.99.", show_default="the model's own"),
    ] = None
    shifts: Annotated[
        int | None,
        typer.Option(
            help="Average N passes at random offsets: better, and N times slower.",
            show_default=_default("shifts"),
        ),
    ] = None
    damaged: Annotated[
        DamagedName | None,
        typer.Option(
            help="Of a song that is damaged in a place: refuse it, or put silence there.",
            show_default=_default("damaged"),
        ),
    ] = None
    two_stems: Annotated[
        str | None,
        typer.Option(
            metavar="STEM",
            help="Only this stem, and the song without it: vocals and no_vocals.",
            rich_help_panel=_DEMUCS,
            autocompletion=lambda: list(STEMS),
        ),
    ] = None
    mp3: Annotated[bool, typer.Option("--mp3", help="--format mp3", rich_help_panel=_DEMUCS)] = (
        False
    )
    flac: Annotated[bool, typer.Option("--flac", help="--format flac", rich_help_panel=_DEMUCS)] = (
        False
    )
    wav: Annotated[bool, typer.Option("--wav", help="--format wav", rich_help_panel=_DEMUCS)] = (
        False
    )
    int24: Annotated[
        bool, typer.Option("--int24", help="--bits 24, of wav or flac", rich_help_panel=_DEMUCS)
    ] = False
    float32: Annotated[
        bool, typer.Option("--float32", help="--bits 32, of wav", rich_help_panel=_DEMUCS)
    ] = False

    def given(self) -> dict[str, Any]:
        """What was given, by the names of a recipe's fields; `tracks` is a list of names.

        Raises:
            SettingError: two options contradict each other.
        """
        found = {
            "model": self.model,
            "format": self._format(),
            "bits": self._bits(),
            "bitrate": self.bitrate,
            "overlap": self.overlap,
            "shifts": self.shifts,
            "damaged": self.damaged,
            "tracks": self._tracks(),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _format(self) -> str | None:
        flags = [name for name in ("mp3", "flac", "wav") if getattr(self, name)]
        named = {*flags, *([self.audio_format] if self.audio_format else [])}
        if len(named) > 1:
            raise SettingError(f"one format is made at a time, not {' and '.join(sorted(named))}")
        if not named and (self.int24 or self.float32):
            return "wav"  # as in Demucs
        return next(iter(named), None)

    def _bits(self) -> int | None:
        asked = {24} if self.int24 else set()
        asked |= {32} if self.float32 else set()
        asked |= {self.bits} if self.bits is not None else set()
        if len(asked) > 1:
            raise SettingError("a sample has one number of bits: --int24, --float32 or --bits N")
        return next(iter(asked), None)

    def _tracks(self) -> list[str] | None:
        if self.two_stems is not None:
            if self.tracks is not None:
                raise SettingError("--two-stems makes two tracks, and --tracks names others")
            return [self.two_stems, f"{WITHOUT}{self.two_stems}"]
        return None if self.tracks is None else track_names(self.tracks)


_RECIPE = get_type_hints(RecipeOptions, include_extras=True)


def track_names(given: str) -> list[str]:
    """The names in a list of tracks.

    Raises:
        SettingError: there are none.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise SettingError("--tracks names no track", "For example --tracks vocals,instrumental")
    return names


def seconds(option: str, text: str) -> float:
    """A time in a song as people write it (90, 1:30, 1:02:03.5), in seconds.

    Raises:
        SettingError: it is none.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise SettingError(f"{option} {text[:40]!a} is no time", "Write 90, 1:30 or 1:02:03")
    hours, minutes, rest = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of a recipe in the place of its parameter `recipe`.

    The command is called with a `RecipeOptions` there.
    """
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        if name != "recipe":
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=_RECIPE[field.name],
            )
            for field in fields(RecipeOptions)
        ]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        options = {name: given.pop(name) for name in _RECIPE if name in given}
        command(**given, recipe=RecipeOptions(**options))

    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    called.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # typer reads it
    called.__annotations__ = {one.name: one.annotation for one in keyword}
    return called
