"""An import as it is recorded: a job whose song still lies at an address that its client named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from octet.jobs.job import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octet.jobs.job import Callback, Priority

ImportState = Literal["fetching", "submitted", "failed", "cancelled"]

PREFIX = "import-"
"""With which an import's id begins. No job's does: theirs are hex digits."""

LISTED: tuple[ImportState, ...] = ("fetching", "failed", "cancelled")
"""States of imports without a job. What has one is listed as that."""


@dataclass(frozen=True)
class Import:
    """An import as it is recorded. A snapshot: read it again to see what has changed.

    Attributes:
        id: `import-` and 32 hex digits.
        state: `submitted` once its song has a job.
        url: of the song; empty once nothing more is fetched.
        host: of the address, with its port if it has one.
        recipe, key, priority, name: of the job that it will be, as JobRequest has them.
        arrived: bytes fetched so far, in this attempt.
        size: how many bytes the server claims there are; None if it has not said.
        attempts: claims so far.
        created, finished: seconds since 1970.
        job: id of the song's job; empty before there is one.
        error: of the latest attempt that failed.
        cancelling: it is to be cancelled, and its fetcher has not seen that yet.
        made: when it was recorded, in microseconds: they are listed by it.
    """

    id: str
    state: ImportState
    url: str
    host: str
    recipe: Mapping[str, Any]
    key: str
    priority: Priority
    name: str
    arrived: int
    size: int | None
    attempts: int
    created: float
    finished: float | None
    job: str
    error: JobError | None
    cancelling: bool
    made: int

    @property
    def ended(self) -> bool:
        """Whether nothing more is fetched; what follows is its job's."""
        return self.state != "fetching"

    @classmethod
    def from_record(cls, record: Mapping[bytes, bytes]) -> Import:
        """Reads a record (the hash octet:job:import-...; its fields are those read here)."""
        get = {name.decode(): value.decode() for name, value in record.items()}.get
        made, code, finished = int(get("made", "0")), get("error_code"), get("finished")
        return cls(
            id=get("id", ""),
            state=cast("ImportState", get("state", "fetching")),
            url=get("url", ""),
            host=get("host", ""),
            recipe=json.loads(get("recipe", "{}")),
            key=get("key", ""),
            priority=cast("Priority", get("priority", "normal")),
            name=get("name", ""),
            arrived=int(get("bytes", "0")),
            size=int(get("size") or 0) if get("size") else None,
            attempts=int(get("attempts", "0")),
            created=made / 1e6,
            finished=float(finished) / 1e3 if finished else None,
            job=get("job", ""),
            error=JobError(code, get("error", "")) if code else None,
            cancelling=get("cancel") == "1",
            made=made,
        )


@dataclass(frozen=True)
class ImportClaim:
    """An import that a fetcher holds: `token` names the claim."""

    record: Import
    token: str
    callbacks: tuple[Callback, ...]


@dataclass(frozen=True)
class ImportRequest:
    """What a client asks for: as JobRequest, with an address in the place of the song.

    Attributes:
        url: of the song.
        recipe, key, callbacks, priority, name: of the job that it will be, as JobRequest has them.
        owner: tells apart clients, of whom each may have so many open; empty if nothing does.
    """

    url: str
    recipe: Mapping[str, Any]
    key: str = ""
    callbacks: tuple[Callback, ...] = ()
    priority: Priority = "normal"
    name: str = ""
    owner: str = ""

    @property
    def host(self) -> str:
        """Of the address, with its port if it has one."""
        try:
            return urlsplit(self.url).netloc.lower()
        except ValueError:
            return ""


def import_of(flat: Sequence[bytes]) -> Import:
    """An import from a record as a script returns it: name, value, name, value ..."""
    return Import.from_record(dict(zip(flat[::2], flat[1::2], strict=True)))
