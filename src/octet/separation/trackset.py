"""The set of tracks of one song: made from the stems as they come, published whole."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from octet.audio.encode import Encoder
from octet.audio.files import EncodedFile, refusal
from octet.audio.levels import Meter, decibels
from octet.audio.mp3 import retagged
from octet.errors import DamagedAudioError, OutputError
from octet.separation.writer import TrackWriter, WrittenTrack
from octet.tracks import SAME_SAMPLES, close_the_sum, mix_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np

    from octet.audio.recording import Recording
    from octet.formats import Encoding

MANIFEST = "manifest.json"


class TrackSet:
    """Encodes the tracks of one song into a hidden folder beside the one they go to.

    A context manager: leaving it deletes whatever was not published.

    Args:
        recording: the decoded song.
        song: its file.
        folder: where the tracks shall lie.
        tracks: names of the tracks to write.
        encoding: their file format.

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
    ) -> None:
        self.recording = recording
        self.song = song
        self.folder = folder
        self.tracks = tuple(tracks)
        self.encoding = encoding.for_song(recording.info.bits)
        self._copied = {"original"} & set(tracks) if self._is_mp3_both_ways() else set()
        self._twins = self._find_twins()
        self._writers: dict[str, TrackWriter] = {}
        self._mix = Meter()
        self._residual = Meter()
        self._stage = folder.parent / f".octet-{os.getpid()}-{secrets.token_hex(4)}"
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._stage.mkdir()
        try:
            for track in set(self.tracks) - self._copied - self._twins.keys():
                self._writers[track] = TrackWriter(self._encoder(track))
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discard()

    def file_name(self, track: str) -> str:
        """Name of a track's file in the folder."""
        return f"{track}.{self.encoding.name}"

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
        for track, writer in self._writers.items():
            writer.write(blocks[track])

    def finish(
        self, on_track: Callable[[str, Path], None] | None = None
    ) -> dict[str, WrittenTrack]:
        """Ends all files and waits for them.

        Args:
            on_track: called with the name and the file of each track that is whole, while
                others are still encoded. `publish` moves the file.

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
        for track, as_in in self._twins.items():
            whole(track, self._twin(track, done[as_in]))
        return {track: done[track] for track in self.tracks}

    @property
    def null_db(self) -> float:
        """Energy of the mix minus the four stems over that of the mix, in dB (floor -200)."""
        return decibels(self._residual.energy / self._mix.energy) if self._mix.energy else -200.0

    def publish(self, manifest: str) -> None:
        """Moves the files to where they shall lie, the manifest last.

        Raises:
            OutputError: the folder cannot be written.
        """
        with writing(self.folder):
            (self._stage / MANIFEST).write_text(manifest, encoding="utf-8")
            try:
                self._stage.rename(self.folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                self._replace()

    def _replace(self) -> None:
        # The folder is there from an earlier run. Its receipt goes first: while files of two
        # runs lie side by side, nothing may say that they belong together.
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [self.file_name(track) for track in self.tracks]
        for name in (*names, MANIFEST):
            (self._stage / name).replace(self.folder / name)

    def _find_twins(self) -> dict[str, str]:
        # An MP3 file's tags stand apart from its sound, which need not be encoded twice.
        if self.encoding.name != "mp3":
            return {}
        there = set(self.tracks) - self._copied
        return {track: as_in for track, as_in in SAME_SAMPLES.items() if {track, as_in} <= there}

    def _twin(self, track: str, written: WrittenTrack) -> WrittenTrack:
        info = self.recording.info
        path = self._stage / self.file_name(track)
        file = retagged(written.file, path, tags=info.tags, cover=info.cover, track=track)
        return replace(written, file=file)

    def _is_mp3_both_ways(self) -> bool:
        # An MP3 goes out as `original` with its own bytes: encoding it again would only lose.
        return self.recording.info.container == "mp3" == self.encoding.name

    def _copy(self, track: str) -> WrittenTrack:
        target = self._stage / self.file_name(track)
        with writing(self.folder):
            shutil.copyfile(self.song, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.recording.sha256:
            raise DamagedAudioError(
                "the file changed while it was being separated", "Try again once it is at rest"
            )
        file_facts = EncodedFile(
            path=target,
            bytes=target.stat().st_size,
            samples=self.recording.samples,
            rate=self.recording.rate,
            sha256=digest,
            clipped=0,
        )
        return WrittenTrack(file_facts, self._mix.rms_db, self._mix.peak_db)

    def _encoder(self, track: str) -> Encoder:
        info = self.recording.info
        return Encoder(
            self._stage / self.file_name(track),
            self.encoding,
            self.recording.rate,
            tags=info.tags,
            cover=info.cover,
            track=track,
        )

    def _discard(self) -> None:
        for writer in self._writers.values():
            writer.abort()
        shutil.rmtree(self._stage, ignore_errors=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns the system's errors about writing into OutputError, in a person's words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise OutputError(
                f"cannot write to {folder}: a file of that name is in the way",
                "Name another folder with -o",
            ) from error
        raise refusal(folder, error) from error
