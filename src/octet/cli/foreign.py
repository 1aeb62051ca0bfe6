"""Options of other programs that Octet does not have: each answers with what to use instead."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from octet.cli.console import fail

if TYPE_CHECKING:
    from collections.abc import Callable


class Foreign(NamedTuple):
    """An option of another program.

    Attributes:
        names: as they are written.
        takes: whether a value follows.
        instead: what to do here, one sentence without a full stop.
    """

    names: tuple[str, ...]
    takes: bool
    instead: str


_SEGMENTS = "segments are as long as the model's, and memory does not grow with the song"
_THREADS = "songs follow each other, each on all cores: --threads N takes fewer"
_REPO = "name the folder of a model: --model FOLDER"
_LEVELS = "nothing is rescaled here: what goes beyond full scale is kept by --float32"

FOREIGN = (
    # demucs
    Foreign(("--segment",), True, _SEGMENTS),
    Foreign(("--no-split",), False, _SEGMENTS),
    Foreign(("-j", "--jobs"), True, _THREADS),
    Foreign(("--clip-mode",), True, _LEVELS),
    Foreign(("--repo",), True, _REPO),
    Foreign(("-s", "--sig"), True, _REPO),
    Foreign(("--mp3-preset",), True, "choose the bit rate: --bitrate 128 to 320"),
    Foreign(("--other-method",), True, "no_STEM is always the song minus the stem"),
    # spleeter
    Foreign(("-p", "--params_filename"), True, "name the model: --model spleeter+pocket"),
    Foreign(("-c", "--codec"), True, "name the format: --format wav, mp3, ogg, m4a or flac"),
    Foreign(("-b",), True, "in kb/s as a number: --bitrate 192"),
    Foreign(("--filename_format",), True, "in these words: --filename '{song}-{stem}.{ext}'"),
    Foreign(("--offset",), True, "from there on: --start SECONDS or M:SS"),
    Foreign(("--duration",), True, "up to a place in the song: --end SECONDS or M:SS"),
    Foreign(("--mwf",), False, "--shifts 2 is what trades time for quality here"),
    # audio-separator
    Foreign(("--model_filename",), True, "name the model or its folder: --model NAME"),
    Foreign(("--model_file_dir",), True, "downloaded models lie in OCTET_CACHE"),
    Foreign(("--output_format",), True, "name the format: --format FLAC in small letters"),
    Foreign(("--output_bitrate",), True, "in kb/s as a number: --bitrate 192"),
    Foreign(("--output_dir",), True, "name the folder: -o DIR"),
    Foreign(("--single_stem",), True, "name the tracks: --tracks vocals"),
    Foreign(("--normalization", "--amplification"), True, _LEVELS),
    Foreign(("--use_autocast",), False, "half precision is used where it is there: --precision"),
    Foreign(("--chunk_duration",), True, _SEGMENTS),
)


def _refuse(parameter: typer.CallbackParam, value: Any, instead: dict[str, str]) -> None:
    if not value:
        return
    name = parameter.opts[0]
    fail(f"{name} is an option of another program: {instead[name]}")
    raise typer.Exit(2)


def understanding(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of other programs, hidden; each ends it with its answer."""
    instead = {one.names[0]: one.instead for one in FOREIGN}

    def refuse(parameter: typer.CallbackParam, value: Any) -> None:
        _refuse(parameter, value, instead)

    added = []
    for number, one in enumerate(FOREIGN):
        option = typer.Option(*one.names, hidden=True, is_eager=True, callback=refuse)
        kind: Any = Annotated[str | None, option] if one.takes else Annotated[bool, option]
        added.append(
            inspect.Parameter(
                f"foreign_{number}",
                inspect.Parameter.KEYWORD_ONLY,
                default=None if one.takes else False,
                annotation=kind,
            )
        )
    signature = inspect.signature(command)

    @functools.wraps(command)
    def called(**given: Any) -> None:
        command(**{name: value for name, value in given.items() if name in signature.parameters})

    both = [*signature.parameters.values(), *added]
    called.__signature__ = signature.replace(parameters=both)  # type: ignore[attr-defined]  # typer
    called.__annotations__ = {one.name: one.annotation for one in both}
    return called
