"""What separates: the interface between a song's samples and whatever estimates its stems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np

from octet.results import manifest
from octet.separation.models.registry import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from octet.settings import SeparationSettings

Policy = Literal["any", "commercial"]

_BLOCK_SECONDS = 10


class Song(Protocol):
    """What is separated: `octet.audio.recording.Recording`, or anything like it.

    Attributes:
        rate: samples a second.
        samples: the length of each channel.
        mean: of the mono downmix.
        deviation: of the mono downmix, with n - 1.
    """

    @property
    def rate(self) -> int: ...  # noqa: D102  # above
    @property
    def samples(self) -> int: ...  # noqa: D102  # above
    @property
    def mean(self) -> float: ...  # noqa: D102  # above
    @property
    def deviation(self) -> float: ...  # noqa: D102  # above

    def read(self, start: int, count: int) -> np.ndarray:
        """Float32 of shape (2, count). May be called from several threads."""
        ...


@dataclass(frozen=True)
class Passes:
    """How a model goes over one song.

    Attributes:
        overlap: share by which segments overlap, 0 to below 1; the model's own if None.
        shifts: how many passes at random offsets of up to half a second are averaged; 0 is
            one pass without.
        seed: of the offsets; the same seed gives the same stems.
        on_progress: called with the share that is done, above 0 and up to 1, in the thread
            that takes the stems.
        cancelled: asked several times a second, in the same thread; True ends the work.
        scratch: folder for samples that a cascade writes on the way; the system's if None.
    """

    overlap: float | None = None
    shifts: int = 0
    seed: int | None = None
    on_progress: Callable[[float], None] | None = None
    cancelled: Callable[[], bool] | None = None
    scratch: Path | None = None


ONCE = Passes()
"""One pass, with the model's own overlap."""


class Model(Protocol):
    """What separates: a loaded model, or what stands in for one. One song at a time.

    Attributes:
        sources: names of the stems, in the order in which blocks hold them; vocals, drums and
            bass are among them.
        samplerate: the rate in Hz that a song must have; None takes any.
        identity: what the manifest says of it.
        runtime: name, device and precision of what computes, for the manifest. Read it after
            the song: a part of it may have been computed otherwise.
        description: all that in one line, for people.
    """

    @property
    def sources(self) -> tuple[str, ...]: ...  # noqa: D102  # above
    @property
    def samplerate(self) -> int | None: ...  # noqa: D102  # above
    @property
    def identity(self) -> manifest.Model: ...  # noqa: D102  # above
    @property
    def runtime(self) -> dict[str, str]: ...  # noqa: D102  # above
    @property
    def description(self) -> str: ...  # noqa: D102  # above

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Separates a song. Closing the iterator ends all work under way.

        Yields:
            Float32 of shape (sources, 2, n), n varying; `song.samples` samples in all.

        Raises:
            SettingError: the song has another rate, or a setting is out of range.
            CancelledError: `passes.cancelled` said so.
            ModelError: the network gave what are no numbers.
            DeviceError: the device failed, or its memory does not do.
        """
        ...


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and where it is to run. Equal choices give the same loaded model.

    Attributes:
        name: of the registry (see `octet models`), a model folder, or a file of weights; or
            two of these joined by a plus sign, see `octet.separation.cascade`.
        device: auto, cpu, cuda, cuda:1 or mps.
        precision: auto, fp32, bf16 or fp16.
        policy: `commercial` refuses models whose licence forbids commercial use.
        trust_checkpoint: load pickled checkpoints (.th), which can run code.
        cache: folder of downloaded and converted models; the user's cache if None.
        required: whether this model must have that device and precision; False where they
            were set for another (see `octet.separation.runtimes.choice.choose`).
        threads: that compute on a processor; 0 is all its cores.
    """

    name: str | Path = "pocket"
    device: str = "auto"
    precision: str = "auto"
    policy: Policy = "any"
    trust_checkpoint: bool = False
    cache: Path | None = None
    required: bool = True
    threads: int = 0

    @classmethod
    def from_settings(cls, settings: SeparationSettings, *, required: bool = True) -> ModelChoice:
        """The model that the settings name."""
        return cls(
            name=settings.model,
            device=settings.device,
            precision=settings.precision,
            policy=settings.model_policy,
            trust_checkpoint=settings.trust_checkpoint,
            cache=settings.cache,
            required=required,
            threads=settings.threads,
        )


class Passthrough:
    """What stands in for a model when all models fail: the song as it is.

    Its vocals, drums and bass are silence, so `other`, `full` and `instrumental` are the song,
    and the four stems still sum to it. A result made with it is published as a fallback.
    """

    description = "original: no separation, every sound goes to `other`"
    sources = ("vocals", "drums", "bass")
    samplerate = None
    identity = manifest.Model(name=ORIGINAL, sha256="", licence="CC0-1.0", commercial=True)
    runtime: ClassVar[dict[str, str]] = {"name": "none", "device": "cpu", "precision": "fp32"}

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Blocks of silence, float32 of shape (3, 2, n), `song.samples` in all."""
        block = song.rate * _BLOCK_SECONDS
        for start in range(0, song.samples, block):
            count = min(block, song.samples - start)
            yield np.zeros((len(self.sources), 2, count), np.float32)
            if passes.on_progress:
                passes.on_progress((start + count) / song.samples)
