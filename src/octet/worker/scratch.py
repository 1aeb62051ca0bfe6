"""Scratch folders: one a worker, gone with it, or swept by the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from typing import TYPE_CHECKING, Self

from octet.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "octet-worker-"
_LOCK = ".lock"


class Scratch:
    """A folder that only this process uses, locked for as long as the process lives.

    A context manager: made (after sweeping what dead workers left) on entering, deleted on
    leaving. The lock is a file beside the folder; the system frees it however the process
    ends. Works between containers that share a disk, as far as the disk has locks.

    Args:
        base: where scratch folders are made; made itself if it is not there.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / f"{_PREFIX}{secrets.token_hex(6)}"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Sweeps, then makes the folder.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            sweep(self.base)
            self._lock = self._own_lock()
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise OutputError(
                f"no scratch folder can be made in {self.base}: {error.strerror}",
                "Set OCTET_SCRATCH to a folder that can be written",
            ) from error
        return self

    def _own_lock(self) -> int:
        """Locks before there is anything to sweep.

        Between its making and its locking, somebody else's sweep may take the file away: then
        there is another name to try.
        """
        for _ in range(10):
            with contextlib.suppress(BlockingIOError, FileNotFoundError):
                return _locked(self.folder)
            self.folder = self.base / f"{_PREFIX}{secrets.token_hex(6)}"
        return _locked(self.folder)

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        _lock_file(self.folder).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)


def sweep(base: Path) -> int:
    """Deletes the folders in `base` whose workers are dead, and returns how many."""
    swept = 0
    for lock in base.glob(f"{_PREFIX}*{_LOCK}"):
        folder = lock.with_name(lock.name.removesuffix(_LOCK))
        with contextlib.suppress(OSError):  # alive, swept by somebody else, or not ours
            descriptor = _locked(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
                swept += 1
            finally:
                os.close(descriptor)
    return swept


def _lock_file(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _locked(folder: Path) -> int:
    """Takes a folder's lock.

    Raises:
        BlockingIOError: somebody has it.
        FileNotFoundError: somebody has deleted it in this moment.
    """
    descriptor = os.open(_lock_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != os.stat(_lock_file(folder)).st_ino:
            raise FileNotFoundError(f"{_lock_file(folder)} is another file by now")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
