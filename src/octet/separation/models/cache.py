"""Where downloaded and converted models are kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # a system without POSIX locks: two conversions at once do double work there
    fcntl = None  # type: ignore[assignment]  # the module is a module everywhere else

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
    def writing(self, target: Path) -> Iterator[Path | None]:
        """A temporary path beside `target`, which becomes `target` when the block ends well.

        One writer at a time: others wait, and get None when the file is there by then. What
        a killed writer left behind is removed by the next one.

        Raises:
            ModelUnavailableError: the folder cannot be written.
        """
        with self._locked(target):
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
    def _locked(self, target: Path) -> Iterator[None]:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(
                target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644
            )
        except OSError as error:
            raise ModelUnavailableError(
                f"the cache folder {target.parent} cannot be written ({error.strerror})", _HINT
            ) from error
        try:
            if fcntl is not None:
                # Released by the system when the process dies.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
