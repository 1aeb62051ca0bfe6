"""The names of a result's objects.

With H for the song's name, R for the recipe's fingerprint and T for the attempt's token:

    default recipe    H-TRACK.EXT               H-manifest.json
    any other         H/R/TRACK.EXT             H/R/manifest.json
    staged            .staging/H/R/T/TRACK.EXT  (R is `@default` for the default recipe)

A stem file is H/R/stem.mp4.

No song's name begins with a dot, so nothing published lies in the staging area.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from octet.errors import SettingError
from octet.tracks import download_name

STAGING = ".staging"
"""The folder of everything that is staged."""

_DEFAULT = "@default"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class ResultKeys:
    """Where the tracks and the manifest of one result lie.

    Args:
        name: the song's hash, or the name that its producer gave it: up to 128 letters,
            digits, dots, hyphens and underscores, no dot first.
        recipe: fingerprint of the recipe (letters, digits, hyphens, underscores); empty for
            the default recipe.
        extension: file extension of the tracks, without a dot.

    Raises:
        SettingError: for a name, recipe, extension or (later) track that is not safe in a key.
    """

    name: str
    recipe: str = ""
    extension: str = "mp3"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _unsafe("song", self.name)
        if self.recipe and not _WORD.fullmatch(self.recipe):
            raise _unsafe("recipe", self.recipe)
        if not _WORD.fullmatch(self.extension):
            raise _unsafe("file extension", self.extension)

    def track(self, track: str) -> str:
        """The key of a track."""
        if not _WORD.fullmatch(track):
            raise _unsafe("track", track)
        return self._key(f"{track}.{self.extension}")

    def download_name(self, track: str) -> str:
        """What a track is called where the store itself hands it out."""
        self.track(track)
        song = f"{self.name}-{self.recipe}" if self.recipe else self.name
        return download_name(track, self.extension, song)

    @property
    def manifest(self) -> str:
        """The key of the manifest."""
        return self._key("manifest.json")

    @property
    def stages(self) -> str:
        """The folder of all attempts' stages of this result."""
        return f"{STAGING}/{self.name}/{self.recipe or _DEFAULT}"

    def stage(self, token: str) -> str:
        """The folder of one attempt's stage."""
        if not _WORD.fullmatch(token):
            raise _unsafe("token", token)
        return f"{self.stages}/{token}"

    def staged(self, token: str, track: str) -> str:
        """The key of a staged track."""
        file = self.track(track).removeprefix(self._key(""))
        return f"{self.stage(token)}/{file}"

    @classmethod
    def of_staged(cls, key: str) -> ResultKeys | None:
        """The result to which a staged object belongs; None for a key that is none of one."""
        parts = key.split("/")
        if len(parts) != 5 or parts[0] != STAGING:
            return None
        recipe = "" if parts[2] == _DEFAULT else parts[2]
        return cls(parts[1], recipe, parts[4].rpartition(".")[2])

    def _key(self, file: str) -> str:
        return f"{self.name}/{self.recipe}/{file}" if self.recipe else f"{self.name}-{file}"


def _unsafe(what: str, value: str) -> SettingError:
    return SettingError(
        f"{value[:80]!a} cannot name a {what}",
        "use letters, digits, hyphens and underscores",
    )
