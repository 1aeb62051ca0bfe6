"""A client of the API: songs out, jobs and tracks back. Nothing is held whole in memory."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from octet.errors import ServiceError, SettingError
from octet.results.folder import ResultFolder
from octet.tracks import file_name, folder_name, song_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, Self

    Json = dict[str, Any]

Result = TypeVar("Result")

DEFAULT_URL = "http://127.0.0.1:5000"

_CHUNK = 256 * 1024
_ENDED = ("done", "failed", "cancelled")

_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each repetition of a request that only reads."""

_LONGEST_PAUSE = 30.0
"""Seconds between two attempts to reach a service that is away, at most."""


class Client:
    """A client of one service. Close it, or use it as a context manager.

        with octet.Client("http://127.0.0.1:5000") as client:
            job = client.wait(client.submit("song.mp3")["id"])
            client.download_all(job["id"], "stems/")

    Args:
        url: the service's address; the environment's OCTET_URL, else this machine's port 5000.
        key: API key; the environment's OCTET_KEY if None.
        timeout: seconds without a byte after which a request is given up.

    Jobs are dictionaries as the API gives them (`JobView` in its OpenAPI document). Every
    method raises ServiceError when the service answers with an error (`status` is its HTTP
    status) or not at all (`status` is 0). What only reads is repeated for some seconds first,
    if the service has answered before.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, timeout: float = 60.0
    ) -> None:
        address = url or os.environ.get("OCTET_URL") or DEFAULT_URL
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError(
                f"{address!r} is not the address of a service", "For example http://127.0.0.1:5000"
            )
        secret = key or os.environ.get("OCTET_KEY")
        self.url = address.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx.Timeout(timeout),
            follow_redirects=False,
        )
        self._answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def submit(
        self,
        song: str | Path | None = None,
        *,
        url: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Json:
        """Submits a song.

        Args:
            song: a file, or an http(s) address, which is the same as `url`.
            url: an address from which the service shall fetch the song. The job is an import:
                it is `fetching` first, with `bytes` of `size`, and then shows what becomes of
                the song's own job, whose id is in `job`.
            idempotency_key: a name for this request, so that it can be repeated safely.
            options: model, format, tracks, bits, bitrate, overlap, shifts, damaged, priority,
                webhook, callback, name.

        Returns:
            The job.

        Raises:
            OSError: the file cannot be read.
            ServiceError: the service does not take it.
            TypeError: neither a song nor an address is given, or both are.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        given = {name: value for name, value in options.items() if value is not None}
        if isinstance(song, str) and song.lower().startswith(("http://", "https://")):
            song, url = (None, song) if url is None else (song, url)
        if (song is None) == (url is None):
            raise TypeError("submit() takes either a song or its address")
        if song is None:
            return self._json("POST", "/v1/jobs", json={"url": url, **given}, headers=headers)
        path = Path(song)
        query = {
            "name": song_name(path)[:200],
            **{name: _text(value) for name, value in given.items()},
        }
        with path.open("rb") as file:
            return self._json(
                "POST",
                "/v1/jobs",
                content=_pieces(file),
                params=query,
                headers={
                    **headers,
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(os.fstat(file.fileno()).st_size),
                },
            )

    def job(self, job_id: str) -> Json:
        """A job as it is now."""
        return self._json("GET", f"/v1/jobs/{_part(job_id)}")

    def jobs(self, *, state: str | None = None, limit: int = 50) -> list[Json]:
        """The latest jobs, the newest first."""
        query = {"limit": limit, **({"state": state} if state else {})}
        jobs: list[Json] = self._json("GET", "/v1/jobs", params=query)["jobs"]
        return jobs

    def cancel(self, job_id: str) -> Json:
        """Asks for a job's end."""
        return self._json("DELETE", f"/v1/jobs/{_part(job_id)}")

    def events(self, job_id: str) -> Iterator[Json]:
        """The job now and whenever it has changed, until it has ended.

        A connection that breaks is taken up again.
        """
        return self._follow(job_id, math.inf)

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Json], None] | None = None,
    ) -> Json:
        """Waits for a job's end, also while the service is away.

        Args:
            job_id: the job's.
            timeout: seconds; None waits for ever.
            on_progress: called with the job whenever it has changed.

        Returns:
            The job, which is done.

        Raises:
            ServiceError: the job failed or was cancelled, or the time is over.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        for job in self._follow(job_id, until):
            if on_progress is not None:
                on_progress(job)
            if job["state"] == "done":
                return job
            if job["state"] == "cancelled":
                raise ServiceError("the job was cancelled", status=200)
            if job["state"] == "failed":
                reason = (job.get("error") or {}).get("message") or "no reason is known"
                raise ServiceError(f"the job failed: {reason}", status=200)
        raise ServiceError(f"the job has not ended within {timeout:g} seconds")

    def manifest(self, song_id: str) -> Json:
        """What was published for a song (its hash, or a job's id)."""
        return self._json("GET", f"/v1/songs/{_part(song_id)}")

    def download(self, song_id: str, track: str, path: str | Path) -> Path:
        """Fetches a track to a file, which appears whole or not at all."""
        target = Path(path)
        partial = target.with_name(f".{target.name[:200]}.part")
        address = f"/v1/songs/{_part(song_id)}/tracks/{_part(track)}"

        def fetch() -> None:
            with self._stream("GET", address) as answer, partial.open("wb") as file:
                for chunk in answer.iter_bytes(_CHUNK):
                    file.write(chunk)

        try:
            self._repeated(fetch)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def download_all(
        self,
        song_id: str,
        folder: str | Path,
        tracks: Sequence[str] | None = None,
        *,
        beside: bool = False,
    ) -> Json:
        """Fetches tracks and the manifest into a folder, where they appear together.

        Args:
            song_id: the song's hash, or a job's id.
            folder: made if it is missing. Tracks of an earlier result in it are replaced.
            tracks: only these; all of the manifest if None.
            beside: leave a folder that holds another song's result alone; the tracks go beside it,
                into the one that `octet.results.place.place_of` gives for the song.

        Returns:
            The manifest of these tracks, which have the names of the files as `key`.

        Raises:
            OutputError: the folder cannot be written.
        """
        manifest = self.manifest(song_id)
        known, song = manifest["tracks"], _song_of(manifest)
        manifest["tracks"] = {}
        owner = str(manifest["song"]["sha256"]) if beside else None
        with ResultFolder(Path(folder), owner) as result:
            for name in list(known) if tracks is None else tracks:
                if name not in known or not name.isidentifier():
                    raise ServiceError(f"the song has no track {name!r}", status=404)
                extension = str(known[name]["key"]).rpartition(".")[2]
                key = file_name(name, extension if extension.isalnum() else "mp3", song)
                self.download(song_id, name, result.stage / key)
                manifest["tracks"][name] = {**known[name], "key": key}
            text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
            result.publish(f"{text}\n")
        return manifest

    def delete(self, song_id: str) -> None:
        """Deletes what was published for a song (its hash, or a job's id), and its upload."""
        with self._stream("DELETE", f"/v1/songs/{_part(song_id)}"):
            pass

    def queue(self) -> Json:
        """What waits and what runs."""
        return self._json("GET", "/v1/queue")

    def dead(self, *, limit: int = 50) -> list[Json]:
        """The latest dead letters."""
        letters: list[Json] = self._json("GET", "/v1/dead", params={"limit": limit})["letters"]
        return letters

    def replay(self, letter_id: str) -> None:
        """Puts a dead letter back on the queue."""
        with self._stream("POST", f"/v1/dead/{_part(letter_id)}/replay"):
            pass

    def _follow(self, job_id: str, until: float) -> Iterator[Json]:
        """The job whenever it has changed, over as many connections as it takes."""
        seen: Json | None = None
        pause = _PAUSES[0]
        while time.monotonic() < until:
            try:
                for job in self._events(job_id, until):
                    pause = _PAUSES[0]
                    if job != seen:
                        yield job
                    if job["state"] in _ENDED:
                        return
                    seen = job
            except ServiceError as error:
                if not _is_transient(error):
                    raise
            time.sleep(max(0.0, min(pause, until - time.monotonic())))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _events(self, job_id: str, until: float) -> Iterator[Json]:
        # Comments keep the connection alive; a while without one means that it is dead.
        read = min(self._http.timeout.read or math.inf, max(0.01, until - time.monotonic()))
        patience = httpx.Timeout(self._http.timeout.connect, read=read)
        address = f"/v1/jobs/{_part(job_id)}/events"
        with self._stream("GET", address, timeout=patience) as answer:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._not_octet()
            for line in answer.iter_lines():
                if time.monotonic() > until:
                    return
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def _json(self, method: str, path: str, **more: Any) -> Json:
        def request() -> Json | None:
            with self._stream(method, path, **more) as answer:
                answer.read()
                try:
                    value = answer.json()
                except ValueError:
                    return None
                return value if isinstance(value, dict) else None

        found = self._repeated(request) if method == "GET" else request()
        if found is None:
            raise self._not_octet()
        return found

    def _not_octet(self) -> ServiceError:
        return ServiceError(
            f"{self.url} does not answer as Octet does", "Check the address (OCTET_URL)", status=200
        )

    def _repeated(self, read: Callable[[], Result]) -> Result:
        """Does what can be done twice without harm again, while the service is away."""
        for pause in _PAUSES:
            try:
                return read()
            except ServiceError as error:
                if not (self._answered and _is_transient(error)):
                    raise
            time.sleep(pause)
        return read()

    @contextmanager
    def _stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        """An answer that is no error; a redirect to the store is followed without the key."""
        try:
            with self._http.stream(method, path, **more) as answer:
                self._answered = True
                if answer.status_code == 307 and "location" in answer.headers:
                    with httpx.stream(
                        method, answer.headers["location"], timeout=self._http.timeout
                    ) as other:
                        _check(other)
                        yield other
                    return
                _check(answer)
                yield answer
        except httpx.HTTPError as error:
            raise ServiceError(
                f"{self.url} does not answer ({type(error).__name__})",
                "Start it with `octet up`, or set OCTET_URL",
            ) from None


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        problem = answer.json()
        detail, hint = str(problem["detail"]), str(problem.get("hint") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, hint = f"the service answered {answer.status_code}", ""
    if answer.status_code == 401 and not hint:
        hint = "Set OCTET_KEY"
    raise ServiceError(detail, hint, status=answer.status_code)


def _is_transient(error: ServiceError) -> bool:
    """Whether it may be otherwise in a while: nobody answers, or a proxy speaks for nobody."""
    return error.status in (0, 502, 503, 504)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        yield piece


def _part(name: str) -> str:
    """A part of an address."""
    return quote(name, safe="")


def _song_of(manifest: Json) -> str:
    """A name for the song's files; what the service says may come from anybody."""
    name = str((manifest.get("song") or {}).get("name", ""))
    return folder_name(Path("".join(sign for sign in name if sign.isprintable())))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)
