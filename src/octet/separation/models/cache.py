"""Where downloaded and converted models are kept between runs, and how work on them is told."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from octet.errors import ModelUnavailableError

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much (0 while that is not known)."""

HEARTBEAT_SECONDS = 2.0

_HINT = "Set OCTET_CACHE to a folder that can be written."


def default_folder() -> Path:
    """The user's cache folder of this platform, unless OCTET_CACHE names another."""
    chosen = os.environ.get("OCTET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "octet"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path there is to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "octet"


class Cache:
    """A folder with `models/NAME/` (as downloaded) and `converted/` (ONNX files).

    Files appear whole, by rename. It may be shared by processes of one machine.

    Args:
        folder: where; `default_folder()` unless given. Made when something is written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else default_folder()

    def model_folder(self, name: str) -> Path:
        """Where the files of a model of the registry lie, or are to be put by hand."""
        return self.folder / "models" / name

    def converted(self, key: str) -> Path:
        """Where a converted model lies; `key` names the checkpoint and the converter."""
        return self.folder / "converted" / f"{key}.onnx"

    @contextlib.contextmanager
    def writing(self, target: Path, report: Progress | None = None) -> Iterator[Path | None]:
        """A temporary path beside `target`, which becomes `target` when the block ends well.

        One writer at a time: others wait, and get None when the file is there by then. What
        a killed writer left behind is removed by the next one.

        Raises:
            ModelUnavailableError: the folder cannot be written.
        """
        with self.locked(target, report):
            if target.exists():
                yield None
                return
            temporary = target.with_name(f".{target.name}.part")
            temporary.unlink(missing_ok=True)
            try:
                yield temporary
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, target: Path, report: Progress | None = None) -> Iterator[None]:
        """Keeps other processes from making `target` while the block runs.

        Raises:
            ModelUnavailableError: the folder cannot be written, in the block either.
        """
        lock = target.with_name(f".{target.name}.lock")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with lock.open("ab") as file:
                _lock(file.fileno(), f"waiting for another process with {target.name}", report)
                yield
        except OSError as error:
            raise ModelUnavailableError(
                f"the cache folder {target.parent} cannot be written ({error.strerror or error})",
                _HINT,
            ) from error


def _lock(descriptor: int, what: str, report: Progress | None) -> None:
    """Takes the lock on a file; the system releases it when the process dies."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if report is not None:
            report(what, 0, 0)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def alive(on_progress: Progress | None, what: str) -> Iterator[Progress]:
    """Shows that work goes on: gives a function to report with, whose last report is repeated.

    While nothing is reported for HEARTBEAT_SECONDS, because another process holds a lock or a
    library computes for minutes, `on_progress` is called again with what was reported last
    (at first `what`), in a thread of its own.
    """
    if on_progress is None:
        yield silent
        return
    last, reported, ended = (what, 0, 0), threading.Event(), threading.Event()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        last = (what, done, total)
        reported.set()
        on_progress(what, done, total)

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            if not reported.is_set():
                on_progress(*last)
            reported.clear()

    thread = threading.Thread(target=beat, name="octet-heartbeat", daemon=True)
    thread.start()
    try:
        yield report
    finally:
        ended.set()
        thread.join()


def silent(what: str, done: int, total: int) -> None:
    """Reports to nobody."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
