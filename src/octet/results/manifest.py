"""The receipt of a separation: what went in, what was done, what came out.

It is written last. Where it lies, the set of tracks beside it is complete.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1

Outcome = Literal["complete", "fallback"]


@dataclass(frozen=True)
class Song:
    """The song as it came in.

    `sha256` is of the file's bytes, `samples` is a channel's count at `rate` Hz, `duration`
    is in seconds, and `channels` is the file's own number before it was made stereo.
    """

    sha256: str
    name: str
    bytes: int
    container: str
    codec: str
    duration: float
    samples: int
    rate: int
    channels: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """The model that was used.

    `sha256` is of its file; of several, that of their hashes and weights, one a line.
    """

    name: str
    sha256: str
    licence: str
    commercial: bool


@dataclass(frozen=True)
class Track:
    """One file that came out.

    `key` is its name in the folder or the bucket, `clipped` counts samples that an integer
    format could not hold, `rms_db` and `peak_db` are relative to full scale (dBFS, not below
    -200).
    """

    key: str
    sha256: str
    bytes: int
    samples: int
    rate: int
    codec: str
    clipped: int
    rms_db: float
    peak_db: float


@dataclass(frozen=True)
class Manifest:
    """The receipt.

    `null_db` is the energy of (mix minus the four stems) over that of the mix, before any
    encoder; -200 stands for everything below. `settings` are those that shape the result,
    `runtime` names what computed it, `timings` are in seconds. `reason` says why the outcome
    is `fallback`, and is None otherwise.
    """

    song: Song
    model: Model
    settings: Mapping[str, Any]
    runtime: Mapping[str, str]
    tracks: Mapping[str, Track]
    null_db: float
    clipped: int
    timings: Mapping[str, float]
    octet: str
    outcome: Outcome = "complete"
    reason: str | None = None
    version: int = VERSION

    def to_json(self) -> str:
        """The manifest as a JSON document, its tracks an object keyed by track name."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
