"""The files of a known model: fetched from the hub, held to their hashes, found again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.cache import sha256_of
from octet.separation.models.demucs import hub
from octet.separation.models.folder import find_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octet.separation.models.cache import Cache
    from octet.separation.models.registry import Checkpoint, Entry

RECORD = "sha256.json"
"""In the model's folder: the SHA-256 of files that are not pinned, as first seen."""


class Downloads:
    """The checkpoints of one model of the registry, in its folder in the cache.

    They may as well be put there by hand, under the hub's names.
    """

    def __init__(self, entry: Entry, cache: Cache) -> None:
        self.entry = entry
        self.folder = cache.model_folder(entry.name)
        self._cache = cache

    def find(self, checkpoint: Checkpoint) -> Path | None:
        """The checkpoint's file, if it is here."""
        return find_file(self.folder, checkpoint.signature)

    def expected(self, checkpoint: Checkpoint) -> str:
        """The SHA-256 it must have: pinned in the registry, or recorded when first seen."""
        return checkpoint.sha256 or self._recorded().get(checkpoint.file_name, "")

    def checked(
        self,
        checkpoint: Checkpoint,
        *,
        download: bool = True,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> tuple[Path, str]:
        """The checkpoint's file and its SHA-256, fetched if it is not here.

        Raises:
            ModelUnavailableError: it is not here, and may not or cannot be fetched.
            ModelDamagedError: it has another hash than it must have.
        """
        file = self.find(checkpoint) or self._fetch(checkpoint, download, on_progress)
        sha256 = sha256_of(file)
        if file.suffix == ".th":
            # Of the older files, all that is known is how their SHA-256 begins.
            expected = checkpoint.pickle.rpartition("-")[2].removesuffix(".th")
        else:
            expected = self.expected(checkpoint)
        if not sha256.startswith(expected):
            raise ModelDamagedError(
                f"{file} has the SHA-256 {sha256}, not {expected}", "Delete it and fetch it again."
            )
        if not expected:
            self._record(checkpoint, sha256)
        return file, sha256

    def _fetch(
        self,
        checkpoint: Checkpoint,
        download: bool,
        on_progress: Callable[[str, int, int], None] | None,
    ) -> Path:
        name, target = self.entry.name, self.folder / checkpoint.file_name
        if not download:
            raise ModelUnavailableError(
                f"{name} is not on this machine", f"Fetch it: octet models pull {name}"
            )
        url = self.entry.url(checkpoint, hub.address())
        report = on_progress or (lambda _what, _done, _total: None)
        with self._cache.writing(target) as temporary:
            if temporary is None:
                return target
            try:
                hub.fetch(
                    url,
                    temporary,
                    sha256=self.expected(checkpoint),
                    on_progress=lambda done, total: report(checkpoint.file_name, done, total),
                )
            except ModelUnavailableError as error:
                raise ModelUnavailableError(
                    f"{name} is not on this machine, and {error.message}",
                    error.hint
                    or f"Offline: fetch {url} on another machine and put it into {self.folder}.",
                ) from error
        return target

    def _recorded(self) -> dict[str, str]:
        path = self.folder / RECORD
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ModelDamagedError(f"{path} cannot be read", "Delete it.") from error
        if not isinstance(content, dict) or any(type(item) is not str for item in content.values()):
            raise ModelDamagedError(f"{path} is no list of hashes", "Delete it.")
        return content

    def _record(self, checkpoint: Checkpoint, sha256: str) -> None:
        record = {**self._recorded(), checkpoint.file_name: sha256}
        temporary = self.folder / f".{RECORD}.part"
        try:
            temporary.write_text(json.dumps(record, indent=2, sort_keys=True), encoding="utf-8")
            temporary.replace(self.folder / RECORD)
        except OSError as error:
            raise ModelUnavailableError(
                f"the hash of {checkpoint.file_name} cannot be kept in {self.folder} "
                f"({error.strerror})",
                "Set OCTET_CACHE to a folder that can be written.",
            ) from error
