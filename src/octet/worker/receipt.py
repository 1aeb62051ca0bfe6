"""Receipts: the child's manifest with what only the supervisor knows, and what stands published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.jobs.job import JobError, Outcome
    from octet.results.keys import ResultKeys
    from octet.worker.protocol import Done


@dataclass(frozen=True)
class Result:
    """A finished separation, not published yet.

    Attributes:
        done: what the child made.
        asked: the model that was asked for.
        why: why it is another model's work (a fallback); None when it is not.
    """

    done: Done
    asked: str
    why: JobError | None = None

    @property
    def outcome(self) -> Outcome:
        """What the job's outcome will be."""
        return "complete" if self.why is None else "fallback"

    @property
    def tracks(self) -> list[str]:
        """The tracks, the original first."""
        return sorted(self.done.manifest["tracks"], key=lambda track: track != "original")

    def file_name(self, track: str) -> str:
        """A track's file in the child's folder."""
        return str(self.done.manifest["tracks"][track]["key"])

    def to_bytes(self, keys: ResultKeys, timings: Mapping[str, float]) -> bytes:
        """The manifest as it is published: the keys in it are those of the objects.

        Args:
            keys: where the tracks go.
            timings: seconds of the supervisor's own steps.
        """
        manifest = self.done.manifest
        tracks = {
            track: {**entry, "key": keys.track(track)}
            for track, entry in manifest["tracks"].items()
        }
        whole = {
            **manifest,
            "tracks": tracks,
            "settings": {"model": self.asked, **manifest["settings"]},
            "timings": {**manifest["timings"], **timings},
            "outcome": self.outcome,
            "reason": self.why.message if self.why else None,
        }
        # Tags may hold stray bytes, which JSON can only hold escaped.
        return json.dumps(whole, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


@dataclass(frozen=True)
class Standing:
    """What a published manifest says of itself.

    Attributes:
        outcome: complete or fallback.
        asked: the model that was asked for; empty if it does not say.
        reason: why it is a fallback; empty for a complete one.
    """

    outcome: Outcome
    asked: str
    reason: str


def read_standing(manifest: bytes | None) -> Standing | None:
    """Reads a published manifest; None when there is none, or none that can be read."""
    if manifest is None:
        return None
    try:
        parts = json.loads(manifest)
    except ValueError:
        return None
    if not isinstance(parts, dict) or parts.get("outcome") not in ("complete", "fallback"):
        return None
    settings = parts.get("settings")
    asked = settings.get("model") if isinstance(settings, dict) else None
    return Standing(parts["outcome"], str(asked or ""), str(parts.get("reason") or ""))
