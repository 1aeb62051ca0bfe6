"""The manifest of a separation, filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.results import manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.audio.recording import Recording
    from octet.results.recipe import Recipe
    from octet.separation.model import Model
    from octet.separation.trackset import TrackSet, WrittenTrack


def make_receipt(
    name: str,
    tracks: TrackSet,
    written: Mapping[str, WrittenTrack],
    source: Model,
    recipe: Recipe,
    seed: int | None,
    timings: Mapping[str, float],
) -> manifest.Manifest:
    """What went in, what was done, and what came out.

    Args:
        name: of the song, as a person calls it.
        tracks: the finished set.
        written: its files, by track.
        source: what separated the song.
        recipe: what shaped the result.
        seed: of the random offsets, if there are any.
        timings: seconds of each part of the work.
    """
    listed = {track: _track(tracks, track, done) for track, done in written.items()}
    return manifest.build(
        song=_song(name, tracks.recording),
        model=source.identity,
        recipe=recipe,
        seed=seed,
        runtime=source.runtime,
        tracks=listed,
        null_db=tracks.null_db,
        timings=timings,
    )


def _track(tracks: TrackSet, track: str, done: WrittenTrack) -> manifest.Track:
    file = done.file
    return manifest.Track(
        key=tracks.file_name(track),
        sha256=file.sha256,
        bytes=file.bytes,
        samples=file.samples,
        rate=file.rate,
        codec=tracks.encoding.name,
        clipped=file.clipped,
        rms_db=done.rms_db,
        peak_db=done.peak_db,
    )


def _song(name: str, recording: Recording) -> manifest.Song:
    info = recording.info
    return manifest.Song(
        sha256=recording.sha256,
        name=name,
        bytes=recording.bytes,
        container=info.container,
        codec=info.codec,
        duration=round(recording.samples / recording.rate, 6),
        samples=recording.samples,
        rate=recording.rate,
        channels=info.channels,
        tags=dict(info.tags),
    )
