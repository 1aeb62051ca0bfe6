"""What the disk says when it refuses, in a person's words."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from octet.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

_ANOTHER = "Name another folder"


def refusal(path: Path, error: OSError) -> OutputError:
    """The error to raise when `path`, a file or folder, could not be written."""
    place = f"cannot write to {path}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return OutputError(
                f"{place}: the disk is full", "Free some space, or name another folder"
            )
        case errno.EFBIG:
            return OutputError(f"{place}: the file is larger than the disk allows", _ANOTHER)
        case errno.EROFS:
            return OutputError(f"{place}: the disk is read-only", _ANOTHER)
        case errno.EACCES | errno.EPERM:
            return OutputError(f"{place}: permission denied", f"{_ANOTHER}, one of your own")
        case errno.ENOENT | errno.ENOTDIR:
            return OutputError(f"{place}: there is no such folder", "Make it first")
        case errno.EISDIR:
            return OutputError(f"{place}: a folder of that name is in the way", _ANOTHER)
    return OutputError(f"{place}: {error.strerror or error}", _ANOTHER)
