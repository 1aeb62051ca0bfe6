"""The manifest of a result: what went in, what was done, what came out.

It is written last. Where it lies, the set of tracks that it lists is complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  # pydantic reads the annotations
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

import octet
from octet.errors import SettingError
from octet.results.recipe import FIELDS, Recipe, encoded, tracks_in

VERSION = 2

LONGEST = 4 * 1024**2
"""Bytes of a manifest. It carries the song's tags, which may be long."""

Outcome = Literal["complete", "fallback"]


@dataclass(frozen=True)
class Song:
    """The song as it came in.

    `sha256` is of the file's bytes, `samples` is a channel's count at `rate` Hz, `duration`
    is in seconds, and `channels` is the file's own number before it was made stereo. `silenced`
    counts the seconds of silence that stand for what was damaged. Of an excerpt, `excerpt` is from
    where to where in seconds, the end None for the song's own, and samples and duration are its.
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
    silenced: float = 0.0
    excerpt: tuple[float, float | None] | None = None


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
    -200). They are of the sound before it was encoded; `residual_db` is what a lossy encoder lost:
    energy of (file minus sound) over that of the sound, in dB, None of lossless files and of the
    song's own bytes. Levels and loss of a stem file are those of the song in it, `clipped` is of
    all five.
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
    residual_db: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The manifest.

    Attributes:
        song, model: what went in, and what separated it.
        settings: the effective recipe (`Recipe.to_dict`) that was asked for, and `seed`, of the
            random offsets. In a fallback `settings["model"]` is not the model that was used.
        fingerprint: of that recipe.
        runtime: name, device and precision of what computed, and `fp32_segments`: how many
            segments were computed again in fp32, because half precision could not hold them.
        tracks: the files, by the tracks' names.
        null_db: energy of (mix minus the four stems) over that of the mix, before any encoder
            (files of lossy formats null as their `residual_db` allows), in dB; -200 stands for
            everything below.
        clipped: samples beyond full scale in all tracks together.
        timings: seconds of each part of the work.
        octet: version of the program.
        outcome: `fallback` when it is not what was asked for; `reason` says why then.
        replaces: objects of the result before, which go once this one has moved into place; see
            `octet.results.publication`. Empty at all other times.
        version: of this document. Version 1 had no fingerprint, and is read as well.
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
    fingerprint: str = ""
    replaces: tuple[str, ...] = ()
    version: int = VERSION

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that was asked for, without its tracks where they are as made."""
        known = {name: value for name, value in self.settings.items() if name in FIELDS}
        tracks = tuple(known.pop("tracks", None) or ())
        return encoded(Recipe(**{"model": self.model.name, **known}, tracks=tracks))

    @property
    def extension(self) -> str:
        """File extension of the tracks, without a dot."""
        first = next(iter(self.tracks.values()), None)
        return (first.key.rpartition(".")[2] if first else "") or "mp3"

    def answers(self, recipe: Recipe) -> bool:
        """Whether this result is what the recipe asks for: complete, of the very same settings,
        and with all of its tracks.
        """
        return self.outcome == "complete" and self.is_of(recipe) and self._has_tracks_of(recipe)

    def is_of(self, recipe: Recipe) -> bool:
        """Whether this is a result of the recipe, be it a fallback."""
        whole = not self.song.silenced or recipe.damaged == "skip"
        return whole and self.recipe.includes(recipe)

    def _has_tracks_of(self, recipe: Recipe) -> bool:
        # A track may have been removed since; of a result with all tracks, all have to be left.
        wanted = recipe.tracks or self.recipe.tracks or tracks_in(recipe.format, ())
        return {*wanted} <= {*self.tracks}

    @property
    def rank(self) -> int:
        """What it is worth beside another result of the same recipe: complete, or a fallback."""
        return 2 if self.outcome == "complete" else 1

    def timed(self, seconds: Mapping[str, float]) -> Manifest:
        """The same with the seconds of further parts of the work."""
        return replace(self, timings={**self.timings, **seconds})

    def asked_for(self, recipe: Recipe, reason: str | None = None) -> Manifest:
        """The same as a result of `recipe`, whatever model made it.

        Args:
            recipe: what was asked for.
            reason: why this is a fallback; None when it is what was asked for.
        """
        return replace(
            self,
            settings={**self.settings, **recipe.to_dict()},
            fingerprint=recipe.fingerprint,
            outcome="complete" if reason is None else "fallback",
            reason=reason,
        )

    def without(self, track: str) -> Manifest:
        """The same without a track that was removed."""
        left = {name: entry for name, entry in self.tracks.items() if name != track}
        return replace(self, tracks=left)

    def to_json(self) -> str:
        """The manifest as a JSON document, its tracks an object keyed by track name.

        Stray bytes of names and tags, which JSON in UTF-8 cannot hold, become `?`.

        Raises:
            ValueError: a figure in it is no number.
        """
        parts = asdict(self)
        if not self.replaces:
            del parts["replaces"]
        text = json.dumps(parts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return text.encode("utf-8", "replace").decode()

    @classmethod
    def from_json(cls, document: bytes | str) -> Manifest | None:
        """Reads a manifest; None for what is none, or of a version that is not known yet."""
        try:
            parts = json.loads(document, parse_constant=_refuse)
            manifest = _READER.validate_python(parts)
        except (ValueError, RecursionError, ValidationError):
            return None
        if manifest.version > VERSION:
            return None
        try:
            fingerprint = manifest.recipe.fingerprint
        except (TypeError, SettingError):  # its settings are not those of a recipe
            return None
        return replace(manifest, fingerprint=fingerprint)


def build(
    *,
    song: Song,
    model: Model,
    recipe: Recipe,
    seed: int | None,
    runtime: Mapping[str, str],
    tracks: Mapping[str, Track],
    null_db: float,
    timings: Mapping[str, float],
) -> Manifest:
    """The manifest of a finished separation, of which all is as it was asked for.

    Everything is as `Manifest` has it; `seed` is None where there are no random offsets.
    """
    return Manifest(
        song=song,
        model=model,
        settings={**recipe.to_dict(), "seed": seed},
        runtime=runtime,
        tracks=tracks,
        null_db=null_db,
        clipped=sum(track.clipped for track in tracks.values()),
        timings=timings,
        octet=octet.__version__,
        fingerprint=recipe.fingerprint,
    )


_READER = TypeAdapter(Manifest)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
