"""The songs that a command is given: files, folders of them, standard input."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import AudioError, NotAudioError
from octet.results.place import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octet.audio.song import Limits

STANDARD_INPUT = "-"

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Song:
    """A song that is there.

    Attributes:
        path: of its file; None for standard input.
        below: the folders in which it lies below the folder that was given; empty for a file.
        seconds: its length by the header's claim; None when that makes none.
    """

    path: Path | None
    below: Path = field(default_factory=Path)
    seconds: float | None = None

    @property
    def name(self) -> str:
        """What it is called, with its ending."""
        return "stdin" if self.path is None else self.path.name


@dataclass
class Found:
    """What was found.

    Attributes:
        songs: in the order in which they were given; those in folders by their names.
        refused: what was given and cannot be separated, by name, and why.
        passed: files in folders that are no sounds, and why.
    """

    songs: list[Song] = field(default_factory=list)
    refused: list[tuple[str, AudioError]] = field(default_factory=list)
    passed: list[tuple[Path, AudioError]] = field(default_factory=list)


def find_songs(given: Sequence[str], output: Path, limits: Limits) -> Found:
    """Looks at what was given, before anything is computed.

    A file is opened and its first samples decoded; what is no song, or not there, is refused with
    its reason. In a folder, and the folders in it, files that are no sounds are passed over, as are
    hidden ones, the output folder, and folders of results.

    Args:
        given: files, folders, `-` for standard input.
        output: where the results go.
        limits: what songs are accepted.
    """
    found = Found()
    for one in given:
        if one == STANDARD_INPUT:
            found.songs.append(Song(None))
        elif _ADDRESS.match(one):
            found.refused.append((one, _address(one)))
        elif os.path.isdir(one):
            _look_into(Path(one), output, limits, found)
        else:
            _look_at(Path(one), limits, found)
    return found


def _look_at(path: Path, limits: Limits, found: Found) -> None:
    try:
        found.songs.append(Song(path, seconds=_seconds(path, limits)))
    except AudioError as error:
        found.refused.append((path.name or str(path), error))


def _look_into(top: Path, output: Path, limits: Limits, found: Found) -> None:
    before = len(found.songs), len(found.refused)
    for path in _files(top, output, found):
        try:
            seconds = _seconds(path, limits)
        except NotAudioError as error:
            found.passed.append((path, error))
        except AudioError as error:  # a song, but a broken one
            found.refused.append((str(path.relative_to(top)), error))
        else:
            found.songs.append(Song(path, path.parent.relative_to(top), seconds))
    if before == (len(found.songs), len(found.refused)):
        found.refused.append((str(top), NotAudioError("there is no song in this folder")))


def _files(top: Path, output: Path, found: Found) -> Iterator[Path]:
    """The files in a folder and those in it, by their names."""
    results = os.path.realpath(output)

    def unreadable(error: OSError) -> None:
        reason = NotAudioError(f"this folder cannot be read: {error.strerror}")
        found.refused.append((str(error.filename), reason))

    for folder, folders, files in os.walk(top, onerror=unreadable):
        here = Path(folder)
        folders[:] = [
            name
            for name in sorted(folders, key=str.casefold)
            if not name.startswith(".")
            and os.path.realpath(here / name) != results
            and not owner_of(here / name)
        ]
        for name in sorted(files, key=str.casefold):
            if not name.startswith("."):
                yield here / name


def _seconds(path: Path, limits: Limits) -> float | None:
    """A song's length by its header.

    Raises:
        AudioError: it cannot be separated.
    """
    from octet.audio.decode import SongReader

    with SongReader(path, limits) as reader:
        return reader.info.duration


def _address(given: str) -> NotAudioError:
    quoted = shlex.quote(given)
    return NotAudioError(
        "songs are separated from files here, not from addresses",
        f"curl -sL {quoted} | octet separate -, or have a service fetch it: octet submit {quoted}",
    )
