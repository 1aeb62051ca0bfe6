"""The checkpoints of a known model: found, fetched from the Hugging Face hub, held to a hash.

Where they are is asked of huggingface-hub: tokens (HF_TOKEN), mirrors (HF_ENDPOINT) and the offline
mode (HF_HUB_OFFLINE) are as its users know them. Fetching is download.py's, since the hub's own
begins anew after a process that died.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.cache import sha256_of, silent
from octet.separation.models.demucs.checkpoint import INSTALL
from octet.separation.models.download import download
from octet.separation.models.folder import find_file

if TYPE_CHECKING:
    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.registry import Checkpoint, Entry

RECORD = "sha256.json"
"""In the model's folder: the SHA-256 of files that are not pinned, as first seen."""


class Downloads:
    """The checkpoints of one model of the registry.

    They are looked for in the model's folder in Octet's cache, where they may be put by hand
    under the hub's names, then in the hub's own cache, which Demucs fills; what is fetched
    goes into the model's folder.
    """

    def __init__(self, entry: Entry, cache: Cache) -> None:
        self.entry = entry
        self.folder = cache.model_folder(entry.name)
        self._cache = cache

    def find(self, checkpoint: Checkpoint) -> Path | None:
        """The checkpoint's file, if it is on this machine."""
        here = find_file(self.folder, checkpoint.signature)
        if here is None:
            with contextlib.suppress(ModelUnavailableError):
                found = _hub().try_to_load_from_cache(self.entry.repository, checkpoint.file_name)
                return Path(found) if isinstance(found, str) else None
        return here

    def expected(self, checkpoint: Checkpoint) -> str:
        """The SHA-256 it must have: pinned in the registry, or recorded when first seen."""
        return checkpoint.sha256 or self._recorded().get(checkpoint.file_name, "")

    def checked(
        self, checkpoint: Checkpoint, *, download: bool = True, report: Progress = silent
    ) -> tuple[Path, str]:
        """The checkpoint's file and its SHA-256, fetched if it is not here.

        Raises:
            ModelUnavailableError: it is not here, and may not or cannot be fetched.
            ModelDamagedError: it has another hash than it must have.
        """
        expected = self.expected(checkpoint)
        file = self.find(checkpoint)
        if file is None:
            return self._fetched(checkpoint, expected, download, report)
        sha256 = sha256_of(file)
        if file.suffix == ".th":
            # Of the older files, all that is known is how their SHA-256 begins.
            expected = checkpoint.pickle_sha256
        if not sha256.startswith(expected):
            raise ModelDamagedError(
                f"{file} has the SHA-256 {sha256}, not {expected}", "Delete it and fetch it again."
            )
        if not expected:
            self._record(checkpoint, sha256)
        return file, sha256

    def _fetched(
        self, checkpoint: Checkpoint, expected: str, download: bool, report: Progress
    ) -> tuple[Path, str]:
        name, target = self.entry.name, self.folder / checkpoint.file_name
        if not download:
            raise ModelUnavailableError(
                f"{name} is not on this machine", f"Fetch it: octet models pull {name}"
            )
        with self._cache.locked(target, report):
            if not target.exists():
                self._fetch(checkpoint, target, expected, report)
        return self.checked(checkpoint, download=False)

    def _fetch(self, checkpoint: Checkpoint, target: Path, expected: str, report: Progress) -> None:
        """Fetches a file into the folder; it has to have the hash that is known, or announced.

        Raises:
            ModelUnavailableError: it did not arrive.
            ModelDamagedError: it has another hash.
        """
        hub, at = _hub(), (self.entry.repository, checkpoint.file_name)
        # The environment as it is now: the library reads it when it is imported.
        endpoint = os.environ.get("HF_ENDPOINT") or None
        url = hub.hf_hub_url(*at, endpoint=endpoint)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its errors are told here
        try:
            about = hub.get_hf_file_metadata(url)
            # The hub addresses large files by their SHA-256.
            announced = re.fullmatch(r"[0-9a-f]{64}", str(about.etag))
            download(
                url,
                target,
                report,
                sha256=expected or (announced[0] if announced else ""),
                size=about.size or 0,
                headers=hub.utils.build_hf_headers(),
            )
        except ModelDamagedError:
            raise
        except Exception as error:
            # The library's errors have no common base: its own, its HTTP client's, OSError.
            if isinstance(error, OSError) and error.errno is not None:
                raise ModelUnavailableError(
                    f"{at[1]} cannot be stored in {self.folder} ({error.strerror})",
                    "Make room, or set OCTET_CACHE to another folder.",
                ) from error
            reason = next(iter(str(error.__cause__ or error).strip().splitlines()), repr(error))
            raise ModelUnavailableError(
                f"{self.entry.name} is not on this machine, and {url} cannot be fetched "
                f"({reason[:300]})",
                f"Offline: fetch {url} on another machine and put it into {self.folder}.",
            ) from error

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
        with self._cache.locked(self.folder / RECORD):
            record = json.dumps({**self._recorded(), checkpoint.file_name: sha256}, indent=2)
            temporary = self.folder / f".{RECORD}.part"
            temporary.write_text(record, encoding="utf-8")
            temporary.replace(self.folder / RECORD)


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ModelUnavailableError(
            "fetching a model needs the package huggingface-hub", INSTALL
        ) from error
