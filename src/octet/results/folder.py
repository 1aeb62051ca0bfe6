"""A result on this machine: its files appear in a folder together, the manifest last."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from octet.audio.files import refusal
from octet.errors import OutputError
from octet.formats import FORMATS
from octet.results.place import MANIFEST, has_sha256, place_of
from octet.tracks import STEM_FILE, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator


class ResultFolder:
    """Stages the files of one result; `publish` moves them to where they shall lie.

    A folder that is not there appears with all files at once. In one that is there, the old
    manifest goes first, then each file is replaced, and the new manifest comes last: no
    manifest ever names files of two results. Tracks of the old result that the new one does
    not have are deleted; nothing else is touched.

    A context manager: leaving it deletes whatever was not published.

    Args:
        folder: where the files shall lie; may be a link to a folder, or a mount point.
        song: SHA-256 of the song's bytes, where a folder that belongs to another song is to be left
            alone: the files go beside it then, see `octet.results.place.place_of`.

    Attributes:
        stage: a hidden folder on the same file system, for the files.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, song: str | None = None) -> None:
        self._folder = folder
        self._song = song
        with _explained(folder):
            self._choose()
            if self._target.exists() and not self._target.is_dir():
                raise FileExistsError(errno.EEXIST, "")
            parent = self._target if self._there else self._target.parent
            parent.mkdir(parents=True, exist_ok=True)
            self.stage = parent / f".octet-{os.getpid()}-{secrets.token_hex(4)}"
            self.stage.mkdir()

    def _choose(self) -> None:
        # Moving is atomic within one file system only. What lies in the folder is on its own;
        # a folder that is still to be made will be on its parent's.
        folder = place_of(self._folder, self._song) if self._song else self._folder
        self._target = Path(os.path.realpath(folder))
        self._there = self._target.is_dir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.stage, ignore_errors=True)

    def publish(self, manifest: str) -> None:
        """Moves the files to where they shall lie, the manifest last.

        Args:
            manifest: as JSON.

        Raises:
            OutputError: the folder cannot be written.
        """
        with _explained(self._folder), _alone(self._target.parent):
            if self._song:
                self._choose()  # again: another program may have been faster
            (self.stage / MANIFEST).write_text(manifest, encoding="utf-8")
            if not self._there and self._appears():
                return
            names = [file.name for file in self.stage.iterdir() if file.name != MANIFEST]
            old = _tracks_of(self._target)
            (self._target / MANIFEST).unlink(missing_ok=True)
            for name in old.difference(names):
                (self._target / name).unlink(missing_ok=True)
            for name in (*names, MANIFEST):
                (self.stage / name).replace(self._target / name)

    def _appears(self) -> bool:
        """Moves the whole stage, unless somebody else has made the folder meanwhile."""
        try:
            self.stage.rename(self._target)
        except OSError:
            if not self._target.is_dir():
                raise
            return False
        return True


def _tracks_of(folder: Path) -> set[str]:
    """The files of the tracks that a folder's manifest lists, empty if it cannot be read.

    A manifest may come from anywhere: only names that a track can have count, or other names of
    files that are the very ones that it describes.
    """
    try:
        tracks = json.loads((folder / MANIFEST).read_bytes())["tracks"]
        listed = [(str(track), dict(entry)) for track, entry in tracks.items()]
        return {
            str(entry["key"])
            for track, entry in listed
            if track.isidentifier() and _is_file_of(folder, track, entry)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _is_file_of(folder: Path, track: str, entry: dict[str, object]) -> bool:
    key = str(entry["key"])
    endings = [one.extension for one in FORMATS.values()]
    plain = key.isprintable() and key == Path(key).name
    if track == STEM_FILE:
        return plain and any(key.endswith(file_name(track, ending, "")) for ending in endings)
    if key in [file_name(track, ending, "") for ending in endings]:
        return True
    if not plain or track not in key or key.rpartition(".")[2] not in endings:
        return False
    size, sha256 = entry.get("bytes"), entry.get("sha256")
    return isinstance(size, int) and has_sha256(folder / key, size, str(sha256))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Moves files while no other program does, where the file system has locks."""
    opened = -1
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(opened, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if opened >= 0:
            os.close(opened)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns the system's errors about writing into OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise OutputError(
                f"cannot write to {folder}: a file of that name is in the way",
                "Name another folder",
            ) from error
        raise refusal(folder, error) from error
