"""Manifests for tests, made by the product's own builder."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from octet.formats import FORMATS
from octet.results.manifest import Manifest, Model, Song, Track, build
from octet.results.recipe import Recipe, tracks_in

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = Recipe("pocket", bitrate=320)


def track(key: str, data: bytes = b"sound") -> Track:
    return Track(
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        samples=441_000,
        rate=44_100,
        codec="mp3",
        clipped=0,
        rms_db=-20.0,
        peak_db=-3.0,
    )


def manifest(
    recipe: Recipe = DEFAULT,
    tracks: Mapping[str, Track] | None = None,
    *,
    song: str = "ab" * 32,
    name: str = "Lied.mp3",
    reason: str | None = None,
    **more: Any,
) -> Manifest:
    """Of a song of ten seconds, as a separation by this recipe would leave it."""
    ending = FORMATS[recipe.format].extension
    names = recipe.tracks or tracks_in(recipe.format, ())
    files = {one: track(f"{one}.{ending}") for one in names}
    made = build(
        song=Song(
            sha256=song,
            name=name,
            bytes=1000,
            container="mp3",
            codec="mp3",
            duration=10.0,
            samples=441_000,
            rate=44_100,
            channels=2,
            **more,
        ),
        model=Model(recipe.model, "cd" * 32, "CC0-1.0", commercial=True),
        recipe=recipe,
        seed=None,
        runtime={"name": "openvino", "device": "cpu", "precision": "fp32"},
        tracks=files if tracks is None else tracks,
        null_db=-148.0,
        timings={"total": 1.0},
    )
    return made.asked_for(recipe, reason)
