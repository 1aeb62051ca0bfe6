"""What supervisor and child say to each other: JSON objects, one a line, over a socket pair.

To the child:
    {"do": "load", "settings": {...}}                      load this model, if it is not at hand
    {"do": "separate", "song", "folder", "links", "name", "tracks", "settings",
     "required"}
    {"do": "cancel"}                                       the separation under way
    the end of the stream                                  die

From the child:
    {"event": "loading", "what", "done", "total"}          a model is fetched, converted or waited
                                                           for; repeated every few seconds
    {"event": "loaded"}                                    the answer to `load`
    {"event": "progress", "share": 0.25}                   at least whenever something moved
    {"event": "track", "track": "vocals", "path", "content_type": "audio/mpeg"}
                                                           whole, while others are not
    {"event": "done", "manifest": "{...}", "content_type": "audio/mpeg"}
    {"event": "failed", "code", "message", "hint"}         code as in octet.errors

The child answers each `load` with one `loaded` or `failed`, and each `separate` with one `done`
or `failed`, unless it dies.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from octet import errors
from octet.errors import ComputationError, OctetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octet.results.manifest import Manifest


@dataclass(frozen=True)
class WholeTrack:
    """A track that is whole before the others: its name, its file and its MIME type."""

    track: str
    path: Path
    content_type: str


@dataclass(frozen=True)
class Done:
    """A finished separation: its manifest, and the MIME type of its tracks."""

    manifest: Manifest
    content_type: str


LONGEST_LINE = 4 * 1024**2
"""Bytes. A manifest carries the song's tags, which may be long."""


@dataclass(frozen=True)
class Order:
    """A separation that the child shall do.

    Attributes:
        song: path of the file.
        folder: where the tracks shall lie; it must not be there yet.
        links: a folder for links to the tracks that are whole before the others; not there yet.
        name: of the song, for people.
        tracks: names of the tracks; empty for all.
        settings: a SeparationSettings, as `model_dump(mode="json")` gives it.
        required: whether the model must have the device and precision of the settings, which
            the operator chose for the worker's default model.
    """

    song: str
    folder: str
    links: str
    name: str
    tracks: tuple[str, ...]
    settings: dict[str, Any]
    required: bool = True

    def to_message(self) -> dict[str, Any]:
        """As it goes over the socket."""
        return {"do": "separate", **asdict(self)}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Order:
        """The reverse."""
        parts = {field.name: message[field.name] for field in fields(cls)}
        return cls(**{**parts, "tracks": tuple(message["tracks"])})


def to_line(message: dict[str, Any]) -> bytes:
    """A message as a line. Stray bytes of file names and tags survive as escapes."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def failure(error: Exception) -> dict[str, Any]:
    """The message that tells of an error; an unforeseen one keeps its type and text."""
    if isinstance(error, OctetError):
        return {
            "event": "failed",
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
        }
    text = f"{type(error).__name__}: {error}".splitlines()[0][:500]
    return {
        "event": "failed",
        "code": ComputationError.code,
        "message": f"the computation failed unexpectedly ({text})",
        "hint": "",
    }


def error_of(message: dict[str, Any]) -> OctetError:
    """The error of a `failed` message, of its own class."""
    kind = _KINDS.get(str(message.get("code")), ComputationError)
    return kind(str(message.get("message", "")), str(message.get("hint", "")))


def _tree(kind: type[OctetError]) -> Iterator[type[OctetError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


_KINDS = {kind.code: kind for kind in _tree(OctetError) if kind.__module__ == errors.__name__}
