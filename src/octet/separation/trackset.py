"""The tracks of one song: made from the stems as they come, each with an encoder of its own."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from octet.audio.encode import Encoder
from octet.audio.files import EncodedFile, refusal
from octet.audio.levels import Meter, decibels
from octet.audio.mp3 import retagged
from octet.errors import DamagedAudioError
from octet.results import manifest
from octet.tracks import (
    IN_STEM_FILE,
    SAME_SAMPLES,
    STEM_FILE,
    WITHOUT,
    close_the_sum,
    file_name,
    folder_name,
    mix_down,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from octet.audio.recording import Recording
    from octet.formats import Encoding

WAITING_BLOCKS = 2
"""Blocks that may wait for an encoder: enough to smooth, too few to fill the memory."""


@dataclass(frozen=True)
class WrittenTrack:
    """A finished file and the levels of what is in it (dBFS)."""

    file: EncodedFile
    rms_db: float
    peak_db: float

    def entry(self, codec: str) -> manifest.Track:
        """What the manifest says of it."""
        return manifest.Track(
            key=self.file.path.name,
            sha256=self.file.sha256,
            bytes=self.file.bytes,
            samples=self.file.samples,
            rate=self.file.rate,
            codec=codec,
            clipped=self.file.clipped,
            rms_db=self.rms_db,
            peak_db=self.peak_db,
            residual_db=self.file.residual_db,
        )


class TrackWriter:
    """Encodes one track in a thread of its own, while the next blocks are still computed.

    FFmpeg's encoders work without the interpreter's lock, so writers run side by side.

    Args:
        encoder: takes the blocks; it belongs to the writer from now on.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._meter = Meter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="octet-encode")
        self._waiting: deque[Future[None]] = deque()
        self._file: Future[EncodedFile] | None = None

    def write(self, block: np.ndarray) -> None:
        """Hands on a block as the encoder takes it; waits while that is behind.

        Raises:
            OutputError: an earlier block could not be written.
        """
        self._waiting.append(self._thread.submit(self._encode, block))
        self._wait(WAITING_BLOCKS)

    def finish(self) -> None:
        """Says that no block follows, and returns at once."""
        self._file = self._thread.submit(self._encoder.close)

    def result(self) -> WrittenTrack:
        """Waits, after `finish`, until the file is whole.

        Raises:
            OutputError: the file could not be written.
        """
        assert self._file is not None  # noqa: S101  # finish() comes before
        self._wait(0)
        return WrittenTrack(self._file.result(), self._meter.rms_db, self._meter.peak_db)

    def close(self) -> None:
        """Ends the thread, and deletes a file that is not whole."""
        self._thread.shutdown(cancel_futures=True)
        self._encoder.abort()

    def _encode(self, block: np.ndarray) -> None:
        self._encoder.write(block)
        self._meter.add(block[:2])  # of a stem file, the song

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()


class TrackSet:
    """Encodes the tracks of one song. A context manager: leaving it ends all threads.

    Args:
        recording: the decoded song.
        song: its file.
        folder: gets the files; it is there.
        tracks: names of the tracks to write.
        encoding: their file format.
        file_of: what a track's file is called, of the track's name and the file's ending; the usual
            unless given.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        recording: Recording,
        song: Path,
        folder: Path,
        tracks: Sequence[str],
        encoding: Encoding,
        file_of: Callable[[str, str], str] | None = None,
    ) -> None:
        self._file_of = file_of or partial(file_name, song=folder_name(song))
        self.recording = recording
        self.song = song
        self.folder = folder
        self.tracks = tuple(tracks)
        self.encoding = encoding.for_song(recording.info.bits)
        # An MP3 goes out as `original` with its own bytes: encoding it again would only lose.
        same = recording.info.container == "mp3" == self.encoding.name and not recording.excerpt
        self._copied = {"original"} & set(tracks) if same else set()
        self._retagged = self._same_sound()
        self._writers: dict[str, TrackWriter] = {}
        self._mix = Meter()
        self._residual = Meter()
        try:
            for track in set(self.tracks) - self._copied - self._retagged.keys():
                self._writers[track] = TrackWriter(self._encoder(track))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all threads, and deletes files that are not whole."""
        for writer in self._writers.values():
            writer.close()

    def _path(self, track: str) -> Path:
        return self.folder / self._file_of(track, self.encoding.format.extension)

    def add(self, mix: np.ndarray, estimates: Mapping[str, np.ndarray]) -> None:
        """Takes the next block in.

        Args:
            mix: the decoded song, float32 of shape (2, n).
            estimates: the model's sources, each shaped like the mix.

        Raises:
            OutputError: a file could not be written.
        """
        stems = close_the_sum(mix, estimates)
        blocks = {**stems, **mix_down(stems), "original": mix}
        self._mix.add(mix)
        self._residual.add(mix - blocks["full"])
        for track in self._writers:
            if track.startswith(WITHOUT):
                blocks[track] = mix - stems[track.removeprefix(WITHOUT)]
        if STEM_FILE in self._writers:
            blocks[STEM_FILE] = np.concatenate([blocks[one] for one in IN_STEM_FILE])
        for track, writer in self._writers.items():
            writer.write(blocks[track])

    def finish(
        self, on_track: Callable[[str, Path], None] | None = None
    ) -> dict[str, manifest.Track]:
        """Ends all files, waits for them, and gives their entries in the manifest.

        Args:
            on_track: called with the name and the file of each track that is whole, while
                others are still encoded.

        Raises:
            OutputError: a file could not be written.
        """
        for writer in self._writers.values():
            writer.finish()
        done: dict[str, WrittenTrack] = {}

        def whole(track: str, written: WrittenTrack) -> None:
            done[track] = written
            if on_track:
                on_track(track, written.file.path)

        for track in self._copied:
            whole(track, self._copy(track))
        for track, writer in self._writers.items():
            whole(track, writer.result())
        for track, as_in in self._retagged.items():
            whole(track, self._retag(track, done[as_in]))
        return {track: done[track].entry(self.encoding.name) for track in self.tracks}

    @property
    def null_db(self) -> float:
        """Energy of the mix minus the four stems over that of the mix, in dB (floor -200)."""
        return decibels(self._residual.energy / self._mix.energy) if self._mix.energy else -200.0

    def _same_sound(self) -> dict[str, str]:
        # An MP3 file's tags stand apart from its sound, which need not be encoded twice: the second
        # file is the first one's sound with tags of its own.
        if self.encoding.name != "mp3":
            return {}
        there = set(self.tracks) - self._copied
        return {track: as_in for track, as_in in SAME_SAMPLES.items() if {track, as_in} <= there}

    def _retag(self, track: str, written: WrittenTrack) -> WrittenTrack:
        info = self.recording.info
        path = self._path(track)
        file = retagged(written.file, path, tags=info.tags, cover=info.cover, track=track)
        return replace(written, file=file)

    def _copy(self, track: str) -> WrittenTrack:
        target = self._path(track)
        try:
            shutil.copyfile(self.song, target)
        except OSError as error:
            raise refusal(target, error) from error
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.recording.sha256:
            raise DamagedAudioError(
                "the file changed while it was being separated", "Try again once it is at rest"
            )
        copied = EncodedFile(
            path=target,
            bytes=target.stat().st_size,
            samples=self.recording.samples,
            rate=self.recording.rate,
            sha256=digest,
            clipped=0,
        )
        return WrittenTrack(copied, self._mix.rms_db, self._mix.peak_db)

    def _encoder(self, track: str) -> Encoder:
        info = self.recording.info
        return Encoder(
            self._path(track),
            self.encoding,
            self.recording.rate,
            tags=info.tags,
            cover=info.cover,
            track=None if track == STEM_FILE else track,
        )
