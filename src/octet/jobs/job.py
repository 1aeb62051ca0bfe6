"""A job: the request for it, and its record."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["waiting", "running", "done", "failed", "cancelled"]
"""`failed` means: given up, a dead letter, nothing published."""

Outcome = Literal["complete", "fallback"]
Priority = Literal["high", "normal", "low"]
CallbackKind = Literal["lab", "event"]

STATES: tuple[State, ...] = get_args(State)
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

KEY = re.compile(r"[0-9a-f]{16}")
"""What names a recipe beside the song."""

_NAME = re.compile(r"[0-9A-Fa-f]{32,128}\Z")
_LONGEST_OBJECT = 1024

MOST_CALLBACKS = 100
"""Of one request: each is compared with all that the job has already."""


@dataclass(frozen=True)
class Callback:
    """An address that hears of the job's end.

    `lab`: the contract's callback, `data` is POSTed as JSON when files were published.
    `event`: a signed event about the end, whatever it is; `data` is not used, and `origin` is the
    id of the import that asked for it, empty if none did.
    """

    url: str
    data: Any = None
    kind: CallbackKind = "lab"
    origin: str = ""

    @property
    def body(self) -> str:
        """What is POSTed: the data as JSON in ASCII, so that half of a surrogate pair, which JSON
        allows, is stored and sent as it came; empty for an event, whose body is its job's end.
        """
        return json.dumps(self.data) if self.kind == "lab" else ""


@dataclass(frozen=True)
class JobRequest:
    """A producer's request for a separation.

    Attributes:
        song: the song's name, 32 to 128 hex digits (the SHA-256 of its bytes in Octet's own
            jobs), in the case in which it was given.
        recipe: what is asked for, ready for JSON: of Octet's own jobs the whole recipe
            (octet.results.recipe), of others what their message says.
        key: names the recipe beside the song, 16 hex digits; empty for the default one.
        bucket, object: where the song lies; None where the producer did not say.
        callbacks: who hears of its end, at most MOST_CALLBACKS.
        priority: before or after the others.
        name: what the client called the file, for people only. Not a path.

    Raises:
        SettingError: a field makes no sense.
    """

    song: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    bucket: str | None = None
    object: str | None = None
    callbacks: tuple[Callback, ...] = ()
    priority: Priority = "normal"
    name: str = ""

    def __post_init__(self) -> None:
        if not _NAME.match(self.song):
            raise SettingError(
                f"{self.song[:80]!r} is not the name of a song",
                "it is 32 to 128 hex digits, usually the SHA-256 of the file",
            )
        if self.key and not KEY.fullmatch(self.key):
            raise SettingError(f"{self.key[:80]!r} cannot name a recipe", "16 hex digits can")
        if self.priority not in PRIORITIES:
            raise SettingError(
                f"{self.priority!r} is not a priority", f"one of {', '.join(PRIORITIES)}"
            )
        for place in (self.bucket, self.object):
            if place is not None and not (is_text(place) and _is_place(place)):
                raise SettingError(
                    f"{place[:80]!r} is not the name of a bucket or an object",
                    "1 to 1024 bytes, no control characters, no leading slash, no '..' part",
                )
        if len(self.callbacks) > MOST_CALLBACKS:
            raise SettingError(f"{len(self.callbacks)} callbacks, more than {MOST_CALLBACKS}")
        for text in (self.name, *(hook.url for hook in self.callbacks)):
            if not is_text(text):
                raise SettingError(f"{text[:80]!r} is not text", "it holds half a character")

    @property
    def job_id(self) -> str:
        """The identity of the result: the song's name, with the recipe's key when it has one."""
        return f"{self.song}-{self.key}" if self.key else self.song

    def places(self, bucket: str) -> list[tuple[str, str]]:
        """Where the song may lie, (bucket, object), to be tried in this order.

        Args:
            bucket: the service's bucket for songs, for a job that names none.
        """
        return _places(self.song, self.bucket or bucket, self.object)


@dataclass(frozen=True)
class JobError:
    """Why a job failed: `code` as in errors.py, `message` for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """A job as it is recorded. A snapshot: read it again to see what has changed.

    Attributes:
        id: see `JobRequest.job_id`.
        attempts: claims of this run so far; not more than the limit, and set back when the
            job is submitted again after its end or replayed.
        percent: 0 to 100.
        left: seconds that the computation will still take, if known.
        created, started, finished: seconds since 1970 by the clock of Redis; `started` is of
            the latest claim.
        worker: who has it, or had it last; empty before the first claim.
        error: of the latest attempt that failed; stays after a fallback as its reason.
        cancelling: it is to be cancelled, and its worker has not seen that yet.
        message: the message on the queue, byte for byte.
    """

    id: str
    song: str
    recipe: Mapping[str, Any]
    state: State
    outcome: Outcome | None
    priority: Priority
    attempts: int
    percent: float
    left: float | None
    created: float
    started: float | None
    finished: float | None
    worker: str
    error: JobError | None
    cancelling: bool
    bucket: str | None
    object: str | None
    name: str
    message: bytes

    @property
    def key(self) -> str:
        """What names its recipe beside the song; empty for the default one."""
        return self.id[len(self.song) + 1 :]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDED

    def places(self, bucket: str) -> list[tuple[str, str]]:
        """Where the song may lie: see `JobRequest.places`."""
        return _places(self.song, self.bucket or bucket, self.object)

    @classmethod
    def from_record(cls, record: Mapping[bytes, bytes]) -> Job:
        """Reads a record (the hash octet:job:<id>; its fields are those that are read here).

        Times there are milliseconds, the recipe is JSON, absent or empty means None.
        """
        text = {
            name.decode(): value.decode("utf-8", "replace")
            for name, value in record.items()
            if name != b"message"
        }
        get = text.get
        failed = get("error_code")
        return cls(
            id=text["id"],
            song=text["song"],
            recipe=json.loads(get("recipe") or "{}"),
            state=cast("State", text["state"]),
            outcome=cast("Outcome | None", get("outcome") or None),
            priority=cast("Priority", get("priority") or "normal"),
            attempts=int(get("attempts") or 0),
            percent=float(get("percent") or 0),
            left=_number(get("left")),
            created=float(get("created") or 0) / 1e3,
            started=_seconds(get("started")),
            finished=_seconds(get("finished")),
            worker=get("worker", ""),
            error=JobError(failed, get("error", "")) if failed else None,
            cancelling=get("cancel") == "1",
            bucket=get("bucket") or None,
            object=get("object") or None,
            name=get("name", ""),
            message=record.get(b"message", b""),
        )


def is_text(value: str) -> bool:
    """Whether it can be stored: not so with half of a surrogate pair in it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _places(song: str, bucket: str, name: str | None) -> list[tuple[str, str]]:
    if name:
        return [(bucket, name)]
    return [(bucket, f"queue/{song}.mp3"), (bucket, f"{song}.mp3")]


def _number(value: str | None) -> float | None:
    return float(value) if value else None


def _seconds(milliseconds: str | None) -> float | None:
    return float(milliseconds) / 1e3 if milliseconds else None


def _is_place(place: str) -> bool:
    return (
        0 < len(place.encode()) <= _LONGEST_OBJECT
        and place.isprintable()
        and not place.startswith("/")
        and ".." not in place.split("/")
    )
