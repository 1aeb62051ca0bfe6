"""A result on this machine: its files appear in a folder together, the manifest last."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from octet.audio.files import refusal
from octet.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "manifest.json"


class ResultFolder:
    """Stages the files of one result; `publish` moves them to where they shall lie.

    A context manager: leaving it deletes whatever was not published.

    Args:
        folder: where the files shall lie; made by `publish` if it is not there.

    Attributes:
        stage: a hidden folder on the same file system, for the files.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage = folder.parent / f".octet-{os.getpid()}-{secrets.token_hex(4)}"
        with _explained(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
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
        with _explained(self.folder):
            (self.stage / MANIFEST).write_text(manifest, encoding="utf-8")
            try:
                self.stage.rename(self.folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                self._replace()

    def _replace(self) -> None:
        # The folder is there from an earlier run. Its manifest goes first: while files of two
        # runs lie side by side, nothing may say that they belong together.
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [file.name for file in self.stage.iterdir() if file.name != MANIFEST]
        for name in (*names, MANIFEST):
            (self.stage / name).replace(self.folder / name)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns the system's errors about writing into OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise OutputError(
                f"cannot write to {folder}: a file of that name is in the way",
                "Name another folder with -o",
            ) from error
        raise refusal(folder, error) from error
