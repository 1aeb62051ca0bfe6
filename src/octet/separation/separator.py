"""From a song's file to its eight tracks."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from octet.audio.recording import Recording
from octet.audio.song import Limits
from octet.errors import CancelledError, ModelError
from octet.formats import Encoding
from octet.results import manifest
from octet.results.folder import ResultFolder
from octet.results.place import Naming
from octet.results.recipe import Recipe, chosen_tracks, encoded, tracks_in
from octet.separation.alignment import align
from octet.separation.model import ModelChoice, Passes
from octet.separation.trackset import TrackSet
from octet.settings import default_scratch
from octet.tracks import STEMS, folder_name, song_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octet.audio.song import Excerpt
    from octet.separation.model import Model, Policy
    from octet.settings import SeparationSettings

DECODING_SHARE = 0.03
"""What decoding takes of the whole, for the progress."""


class Separator:
    """Separates songs with one model, which stays loaded from song to song.

        separator = octet.Separator("htdemucs", format="flac")
        manifest = separator.separate("song.mp3", "stems/song")

    Args:
        model: name or folder of a model (see `octet models`), two of them joined by a plus
            sign, or one that is loaded already.
        device: auto, cpu, cuda, cuda:1 (the second GPU) or mps.
        precision: auto, fp32, bf16 or fp16.
        threads: that compute on a processor; 0 is all its cores.
        policy: `commercial` refuses models whose licence forbids commercial use.
        trust_checkpoint: load pickled checkpoints (.th), which can run code.
        cache: folder of downloaded and converted models; the user's cache unless given.
        format: of the tracks: mp3, flac, wav, ogg, opus or m4a; or stem, one file with all stems.
        bits: 16, 24 or 32 (floating point) for flac and wav; the song's own unless given. With 16
            or 24 a stem file is lossless.
        bitrate: kilobits a second of lossy formats; 320 for MP3 unless given.
        tracks: which to write; all of `available` unless given. `no_STEM` is the song without it.
        overlap: share by which segments overlap, 0 to below 1; the model's own unless given.
        shifts: passes at random offsets, whose mean is taken; 0 separates once, unshifted.
        seed: of the random offsets; the same seed gives the same tracks.
        limits: what songs are accepted.
        scratch: folder for decoded samples (8 bytes a sample); see `default_scratch`.
        naming: what the tracks' files are called.
        on_model: called while the model is fetched or converted: (what, done, total).

    Raises:
        ModelError: no such model, not here, damaged, or not allowed.
        DeviceError: the device or precision is not to be had.
        SettingError: a track or a setting that makes no sense.

    One song at a time; for several threads take several separators.
    """

    def __init__(
        self,
        model: str | Path | Model = "pocket",
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        policy: Policy = "any",
        trust_checkpoint: bool = False,
        cache: Path | None = None,
        format: str = "mp3",  # noqa: A002  # its name everywhere else
        bits: int | None = None,
        bitrate: int | None = None,
        tracks: Sequence[str] | None = None,
        overlap: float | None = None,
        shifts: int = 0,
        seed: int = 0,
        limits: Limits | None = None,
        scratch: Path | None = None,
        naming: Naming | None = None,
        on_model: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.encoding = Encoding(format, bits=bits, bitrate=bitrate)
        if isinstance(model, str | Path):
            # Here, so that a model of one's own (tests, fallbacks) needs no runtime.
            from octet.separation.models.loading import load

            choice = ModelChoice(
                *(model, device, precision, policy, trust_checkpoint, cache), threads=threads
            )
            model = load(choice, on_model)
        self.model: Model = model
        self.tracks = self._checked(tracks)
        self.overlap = overlap
        self.shifts = shifts
        self.seed = seed
        self.limits = limits or Limits(damaged="skip")
        self.scratch = scratch or default_scratch()
        self.naming = naming or Naming()

    @classmethod
    def from_settings(
        cls,
        settings: SeparationSettings,
        *,
        model: Model | None = None,
        tracks: Sequence[str] | None = None,
        naming: Naming | None = None,
        on_model: Callable[[str, int, int], None] | None = None,
    ) -> Separator:
        """A separator as the environment and the options of a command say.

        Args:
            settings: all but the tracks.
            model: one that is loaded already, in place of the settings' own.
            tracks: as above.
            naming: as above.
            on_model: as above.
        """
        return cls(
            model or settings.model,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
            policy=settings.model_policy,
            trust_checkpoint=settings.trust_checkpoint,
            cache=settings.cache,
            format=settings.format,
            bits=settings.bits,
            bitrate=settings.bitrate,
            tracks=tracks,
            overlap=settings.overlap,
            shifts=settings.shifts,
            limits=Limits.from_settings(settings),
            scratch=settings.scratch,
            naming=naming,
            on_model=on_model,
        )

    @property
    def available(self) -> tuple[str, ...]:
        """The eight tracks, further sources of the model (guitar, piano), and then the rest; of
        the format `stem` its one file.
        """
        return tracks_in(self.encoding.name, self.model.sources)

    @property
    def recipe(self) -> Recipe:
        """The settings that shape the result, for the manifest."""
        return encoded(
            Recipe(
                model=self.model.identity.name,
                format=self.encoding.name,
                bits=self.encoding.bits,
                bitrate=self.encoding.bitrate,
                overlap=self.overlap,
                shifts=self.shifts,
                damaged=self.limits.damaged,
                tracks=() if self.tracks == self.available else self.tracks,
            )
        )

    def separate(
        self,
        path: str | Path,
        folder: str | Path,
        *,
        name: str | None = None,
        beside: bool = False,
        excerpt: Excerpt | None = None,
        on_progress: Callable[[float], None] | None = None,
        on_track: Callable[[str, Path], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> manifest.Manifest:
        """Separates one song into `folder`, which holds all tracks afterwards, or none.

        Args:
            path: the song, in any format that `octet.audio` reads.
            folder: gets one file a track and `manifest.json`; made if it is not there.
            name: of the song in the manifest; the file's unless given.
            beside: leave a folder that holds another song's result alone; the tracks go beside it,
                into the one that `octet.results.place.place_of` gives for the song.
            excerpt: separate this part alone.
            on_progress: called with the share done, 0 to 1, now and then.
            on_track: called with the name and the file of each track that is whole, while
                others are still encoded; the file moves to `folder` at the end.
            cancelled: called now and then; the work stops once it returns True.

        Returns:
            The manifest that was written.

        Raises:
            AudioError: the song cannot be read, or goes beyond the limits.
            OutputError: the tracks cannot be written.
            CancelledError: `cancelled` returned True.
        """
        path = Path(path)
        progress = _Progress(on_progress, cancelled)
        with ExitStack() as stack:
            decoding = progress.part(0.0, DECODING_SHARE)
            recording = stack.enter_context(
                Recording.read_song(path, self.scratch, self.limits, decoding, excerpt)
            )
            progress.lap("decode")
            owner = recording.sha256 if beside else None
            result = stack.enter_context(ResultFolder(Path(folder), owner))
            tracks = stack.enter_context(
                TrackSet(
                    *(recording, path, result.stage, self.tracks, self.encoding),
                    file_of=partial(
                        self.naming.file, song=folder_name(path), model=self.model.identity.name
                    ),
                )
            )
            self._fill(tracks, progress)
            progress.lap("separate")
            written = tracks.finish(on_track)
            progress.lap("encode")
            made = manifest.build(
                song=_song(name or song_name(path), recording),
                model=self.model.identity,
                recipe=self.recipe,
                seed=self.seed if self.shifts else None,
                runtime=self.model.runtime,
                tracks=written,
                null_db=tracks.null_db,
                timings=progress.timings(),
            )
            result.publish(made.to_json())
        progress(1.0)
        return made

    def _fill(self, tracks: TrackSet, progress: _Progress) -> None:
        """Walks the song and hands every block of it on."""
        recording = tracks.recording
        rate = self.model.samplerate or recording.rate
        # Resampling adds nothing to the share, but reports that work goes on.
        resampling = progress.part(DECODING_SHARE, DECODING_SHARE)
        separating = progress.part(DECODING_SHARE, 1.0)
        passes = Passes(
            overlap=self.overlap,
            shifts=self.shifts,
            seed=self.seed,
            on_progress=separating,
            cancelled=progress.cancelled,
            scratch=self.scratch,
        )
        with ExitStack() as stack:
            song = stack.enter_context(recording.at_rate(rate, self.scratch, resampling))
            # Closed here, so that no thread of the model outlives an error of the tracks.
            stems = stack.enter_context(closing(self.model.stems(song, passes)))
            position = 0
            for block in align(stems, rate, recording.rate, recording.samples):
                count = block.shape[-1]
                mix = recording.read(position, count)
                tracks.add(mix, dict(zip(self.model.sources, block, strict=True)))
                position += count

    def _checked(self, tracks: Sequence[str] | None) -> tuple[str, ...]:
        missing = [one for one in STEMS if one not in ("other", *self.model.sources)]
        if missing:
            raise ModelError(
                f"{self.model.identity.name} gives {', '.join(self.model.sources)}, and no "
                f"{' or '.join(missing)}",
                "Choose a model that estimates vocals, drums and bass.",
            )
        if tracks is None:
            return self.available
        return chosen_tracks(tracks, self.available)


def _song(name: str, recording: Recording) -> manifest.Song:
    info, excerpt = recording.info, recording.excerpt
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
        silenced=round(recording.silenced, 6),
        excerpt=(excerpt.start, excerpt.end) if excerpt else None,
    )


class _Progress:
    """Tells how far a song has come, stops it when it is cancelled, and takes its time.

    Args:
        on_progress: called with the share done, 0 to 1.
        cancelled: called whenever there is progress; True ends the work.
    """

    def __init__(
        self, on_progress: Callable[[float], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self.cancelled = cancelled
        self._on_progress = on_progress
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def __call__(self, share: float) -> None:
        """Tells of progress; raises CancelledError if the work was cancelled."""
        if self.cancelled and self.cancelled():
            raise CancelledError("the separation was cancelled")
        if self._on_progress:
            self._on_progress(share)

    def part(self, start: float, end: float) -> Callable[[float], None]:
        """Progress of a part of the work that goes from `start` to `end` of the whole."""
        return lambda share: self(start + (end - start) * share)

    def lap(self, name: str) -> None:
        """Ends the part `name` of the timings."""
        now = time.perf_counter()
        self._laps[name] = round(now - self._last, 3)
        self._last = now

    def timings(self) -> dict[str, float]:
        """Seconds of each part, and of the whole."""
        return {**self._laps, "total": round(time.perf_counter() - self._start, 3)}


def separate(
    path: str | Path,
    folder: str | Path = "separated",
    model: str | Path = "pocket",
    **options: object,
) -> manifest.Manifest:
    """Separates one song: `Separator(model, **options).separate(path, folder/<song's name>)`.

    Args:
        path: the song.
        folder: gets a folder of the song's name, and in it one file a track.
        model: name or folder of a model.
        options: as `Separator` takes them (format, device, tracks, ...).

    Returns:
        The manifest, which is also written beside the tracks.

    Raises:
        OctetError: of the kinds that `Separator` and `Separator.separate` name.
    """
    separator = Separator(model, **options)  # type: ignore[arg-type]  # it checks them itself
    return separator.separate(path, Path(folder) / folder_name(Path(path)))
