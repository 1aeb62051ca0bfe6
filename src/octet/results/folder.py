"""A result on this machine: its files appear in a folder together, the manifest last."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from octet.audio.files import refusal
from octet.errors import OutputError
from octet.formats import FORMATS
from octet.tracks import STEM_FILE, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "manifest.json"


class ResultFolder:
    """Stages the files of one result; `publish` moves them to where they shall lie.

    A folder that is not there appears with all files at once. In one that is there, the old
    manifest goes first, then each file is replaced, and the new manifest comes last: no
    manifest ever names files of two results. Tracks of the old result that the new one does
    not have are deleted; nothing else is touched.

    A context manager: leaving it deletes whatever was not published.

    Args:
        folder: where the files shall lie; may be a link to a folder, or a mount point.

    Attributes:
        stage: a hidden folder on the same file system, for the files.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Moving is atomic within one file system only. What lies in the folder is on its own;
        # a folder that is still to be made will be on its parent's.
        self._target = Path(os.path.realpath(folder))
        with _explained(folder):
            if self._target.exists() and not self._target.is_dir():
                raise FileExistsError(errno.EEXIST, "")
            self._there = self._target.is_dir()
            parent = self._target if self._there else self._target.parent
            parent.mkdir(parents=True, exist_ok=True)
            self.stage = parent / f".octet-{os.getpid()}-{secrets.token_hex(4)}"
            self.stage.mkdir()

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
        with _explained(self._folder):
            (self.stage / MANIFEST).write_text(manifest, encoding="utf-8")
            if not self._there and self._appears():
                return
            names = [file.name for file in self.stage.iterdir() if file.name != MANIFEST]
            old = _tracks_of(self._target / MANIFEST)
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


def _tracks_of(manifest: Path) -> set[str]:
    """The files of the tracks that a manifest lists, empty if it cannot be read.

    A manifest may come from anywhere: only names that a track can have count.
    """
    try:
        tracks = json.loads(manifest.read_bytes())["tracks"]
        listed = {(str(track), str(entry["key"])) for track, entry in tracks.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {key for track, key in listed if track.isidentifier() and _is_file_of(track, key)}


def _is_file_of(track: str, key: str) -> bool:
    endings = [one.extension for one in FORMATS.values()]
    if track != STEM_FILE:
        return key in [file_name(track, ending, "") for ending in endings]
    plain = key.isprintable() and key == Path(key).name
    return plain and any(key.endswith(file_name(track, ending, "")) for ending in endings)


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
