"""Where a song's result lies on this machine: the one rule, for all commands.

A song's folder has the name of its file without the ending, and belongs to the song whose hash its
manifest states. Another song of that name gets a folder beside it, `name (2)`, `name (3)` and so
on; the same song gets the folder that it had. So no song ever takes the place of another, be they
separated together, one after the other, or at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import SettingError
from octet.results.manifest import LONGEST, Manifest
from octet.tracks import STEM_FILE, file_name

if TYPE_CHECKING:
    from octet.results.recipe import Recipe

MANIFEST = "manifest.json"

LAYOUT = "{song}"
FILENAME = "{stem}.{ext}"

_FOLDER_WORDS = ("song", "track", "model")
_FILE_WORDS = ("song", "track", "model", "stem", "ext")


@dataclass(frozen=True)
class Naming:
    """What folders and files are called below the output folder.

    Attributes:
        layout: of a song's folder; `{song}` (or `{track}`, Demucs' word for it) and `{model}` stand
            for their names, `{model}/{song}` is two folders.
        filename: of a track's file in it; `{stem}` is the track's name, `{ext}` its ending, and
            `{song}` and `{model}` as above. What stands before a slash is the layout then, as in
            Demucs' `{track}/{stem}.{ext}`.

    Raises:
        SettingError: other words in braces, a folder that is none, or names that could not differ.
    """

    layout: str = LAYOUT
    filename: str = FILENAME

    def __post_init__(self) -> None:
        folder, slash, file = self.filename.rpartition("/")
        layout = folder if slash else self.layout
        _words("--layout", layout, _FOLDER_WORDS)
        last = layout.rpartition("/")[2]
        if not {"song", "track"} & _words("--layout", last, _FOLDER_WORDS):
            raise SettingError(
                f"--layout {layout} gives songs no folder of their own",
                "It ends with the song's: --layout '{model}/{song}'",
            )
        if "stem" not in _words("--filename", file, _FILE_WORDS):
            raise SettingError(
                f"--filename {self.filename} would give all tracks one name",
                "{stem} stands for the track: --filename '{song}-{stem}.{ext}'",
            )
        if any(part in ("", ".", "..") for part in layout.split("/")):
            raise SettingError(f"--layout {layout} is no folder in the output's")
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "filename", file if file.endswith(".{ext}") else f"{file}.{{ext}}")

    def folder(self, song: str, model: str) -> Path:
        """The song's folder, below the output's.

        Args:
            song: a name that may be a folder's, see `octet.tracks.folder_name`.
            model: the model's name.
        """
        words = {"song": song, "track": song, "model": _plain(model)}
        return Path(*(part.format(**words) for part in self.layout.split("/")))

    def file(self, track: str, extension: str, song: str, model: str) -> str:
        """What a track's file is called. A stem file keeps the ending that DJ programs look for."""
        if track == STEM_FILE:
            return file_name(track, extension, song)
        words = {"song": song, "track": song, "model": _plain(model)}
        return self.filename.format(**words, stem=track, ext=extension)


def place_of(folder: Path, song: str) -> Path:
    """The folder of a song's result: `folder` itself, or one beside it.

    The one that is the song's already, else the first that is nobody's. A folder belongs to a song
    by its manifest; one whose manifest cannot be read belongs to somebody else. Names that differ
    in capitals alone count as one: some file systems do not tell them apart.

    Args:
        folder: by the song's name.
        song: SHA-256 of its bytes, in lower-case hex.
    """
    there: dict[str, list[str]] = {}
    for name in _names_in(folder.parent):
        there.setdefault(_key(name), []).append(name)
    free: Path | None = None
    for number in range(1, len(there) + 2):  # so many that one of them is nobody's
        name = folder.name if number == 1 else f"{folder.name} ({number})"
        standing = there.get(_key(name), [])
        owners = {one: owner_of(folder.with_name(one)) for one in standing}
        own = next((one for one, owner in owners.items() if owner == song), None)
        if own is not None:
            return folder.with_name(own)
        if free is None and not any(owner is not None for owner in owners.values()):
            free = folder.with_name(name)
    return free or folder


def owner_of(folder: Path) -> str | None:
    """The SHA-256 of the song whose result lies there; None where there is no manifest.

    Empty where a manifest is there that says nothing of a song.
    """
    document = _read(folder)
    if document is None:
        return None
    try:
        return str(json.loads(document)["song"]["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


@dataclass(frozen=True)
class Wanted:
    """A result that is wanted, to be compared with what lies there.

    Attributes:
        song: SHA-256 of the song's bytes.
        name: the song's, as a folder's: see `octet.tracks.folder_name`.
        recipe: what is asked for.
        model: SHA-256 of the model that would make it, as manifests have it.
        naming: what its files are to be called.
        excerpt: which part of the song, as manifests have it; None for all of it.
    """

    song: str
    name: str
    recipe: Recipe
    model: str
    naming: Naming
    excerpt: tuple[float, float | None] | None = None

    def found_in(self, folder: Path) -> Manifest | None:
        """The manifest of the result in a folder, if it is this one and whole.

        None where a file is missing, has another name or other bytes, or anything else differs.
        """
        manifest = Manifest.from_json(_read(folder) or b"")
        if (
            manifest is None
            or (manifest.song.sha256, manifest.model.sha256) != (self.song, self.model)
            or manifest.song.excerpt != self.excerpt
            or not manifest.answers(self.recipe)
        ):
            return None
        for track, entry in manifest.tracks.items():
            extension = entry.key.rpartition(".")[2]
            if entry.key != self.naming.file(track, extension, self.name, manifest.model.name):
                return None
            if not has_sha256(folder / entry.key, entry.bytes, entry.sha256):
                return None
        return manifest


def has_sha256(file: Path, size: int, sha256: str) -> bool:
    """Whether a regular file of this size and hash lies there."""
    try:
        if not file.is_file() or file.stat().st_size != size:
            return False
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _read(folder: Path) -> bytes | None:
    """The bytes of a folder's manifest; None where there is none, empty if it cannot be read."""
    try:
        file = folder / MANIFEST
        if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe could block for ever
            return b""
        with file.open("rb") as opened:
            return opened.read(LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:  # it is still to be made, or whoever writes there says what is wrong
        return []


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _plain(model: str) -> str:
    """A model's name as a folder's."""
    name = "".join("-" if sign in "/\\:" else sign for sign in model).strip(". ")
    return name or "model"


def _words(option: str, template: str, known: tuple[str, ...]) -> set[str]:
    """The words in braces.

    Raises:
        SettingError: there are others than the known ones, or braces that do not match.
    """
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise SettingError(f"{option} {template}: the braces do not match") from None
    words = {name for _, name, _, _ in fields if name is not None}
    plain = all(not extra and not how for _, _, extra, how in fields)
    if not plain or not words <= {*known}:
        raise SettingError(
            f"{option} {template} asks for what is not known",
            f"There are {', '.join(f'{{{word}}}' for word in known)}",
        )
    return words
