"""Names of the folders into which a song's tracks go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def folder_name(song: Path) -> str:
    """The name of a song's folder: its file name without the ending.

    At most 240 bytes, so that a number fits behind it; never "." or "..".
    """
    name = song.stem.strip()
    if not name.strip("."):
        return "song"
    while len(os.fsencode(name)) > 240:  # characters take one to four bytes
        name = name[:-1]
    return name
