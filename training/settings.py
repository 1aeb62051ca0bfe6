"""Every number of the recipe, and its seeds. Nothing is set anywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

STEMS = ("drums", "bass", "other", "vocals")
"""The stems in the network's order, which is Demucs'."""

ESTIMATED = tuple(stem for stem in STEMS if stem != "other")
"""The stems that the network gives away; `other` is what they leave of the mix."""

RATE = 44100
"""Samples a second, everywhere in training."""

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Songs:
    """Which of the recorded songs do what."""

    train: tuple[str, ...] = ("caesium", "hydrogen", "lithium", "potassium", "rubidium")
    validate: tuple[str, ...] = ("sodium",)


@dataclass(frozen=True)
class Spectrum:
    """The short-time Fourier transform, and how its bins become bands.

    `bands` lists runs of equal bands as (number of bands, bins a band). Bins are the
    transform's own below `fine`; from there to `top`, `pool` neighbours count as one. What
    lies above `top` (16.5 kHz) shares the mask of the last band.
    """

    n_fft: int = 4096
    hop: int = 1024
    fine: int = 512
    top: int = 1536
    pool: int = 4
    bands: tuple[tuple[int, int], ...] = (
        (16, 4), (16, 8), (20, 16), (8, 16), (4, 32),
    )  # fmt: skip

    @property
    def bins(self) -> int:
        """The number of bins that the network sees and masks."""
        return self.fine + (self.top - self.fine) // self.pool


@dataclass(frozen=True)
class Network:
    """The size of the network.

    Bands and frames are halved from one of the `channels` to the next; the blocks in the
    middle are `dilations` frames wide. `wide` are the channels before the factors.
    """

    channels: tuple[int, ...] = (32, 64, 128, 192)
    dilations: tuple[int, ...] = (1, 2, 4)
    wide: int = 96


@dataclass(frozen=True)
class Mixing:
    """How training examples are put together; probabilities unless it says otherwise.

    `origins` are the weights with which a stem's source is drawn: `music` (parts of the
    recorded songs), `samples` (one-shots and phrases strung together), `render` (songs
    composed and rendered by this project), `struck` (basses that are struck like drums). What
    has no clip for a stem is skipped. `voices` are the weights for a voice that is drawn alone.
    `together` is how often the stems of one song are drawn; each is then left out with the
    probability in `absent`, as stems drawn from anywhere are with that in `silent`.
    """

    origins: tuple[tuple[str, float], ...] = (
        ("music", 0.4), ("samples", 0.15), ("render", 0.45), ("struck", 0.4),
    )  # fmt: skip
    voices: tuple[tuple[str, float], ...] = (("music", 0.45), ("samples", 0.3), ("render", 0.25))
    together: float = 0.5
    layer: float = 0.2
    silent: tuple[tuple[str, float], ...] = (
        ("drums", 0.1), ("bass", 0.12), ("other", 0.08), ("vocals", 0.15),
    )  # fmt: skip
    absent: tuple[tuple[str, float], ...] = (
        ("drums", 0.05), ("bass", 0.06), ("other", 0.04), ("vocals", 0.1),
    )  # fmt: skip
    gain_db: float = 5.0
    level_db: float = 4.0
    speed: float = 0.4
    semitones: float = 4.0
    equalise: float = 0.5
    equalise_db: float = 4.0
    narrow: float = 0.25
    pan: float = 0.3
    mono: float = 0.05
    reverb: float = 0.12
    compress: float = 0.12
    clip: float = 0.08
    codec: float = 0.04


@dataclass(frozen=True)
class Training:
    """The optimiser and its schedule: warm up, hold, and fall to nothing at the end.

    `mixes` batches are made out of the stems that were drawn and altered for one. With `bfloat16`
    the network computes in 16 bits what loses little by it (weights, norms and the loss stay in
    32): 1.4 times faster on processors that multiply them, slower on others.
    """

    seed: int = 20240229
    batch: int = 4
    frames: int = 128
    mixes: int = 3
    steps: int = 19000
    warmup: int = 150
    decay: float = 0.6
    rate: float = 2e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.998
    amplitude_weight: float = 0.3
    threads: int = 2
    checkpoint_every: int = 100
    validate_every: int = 200
    snapshot_every: int = 200
    bfloat16: bool = True


@dataclass(frozen=True)
class Rendering:
    """An album: songs that this project composes and renders, with voices of its own.

    Of `spoken` lines and `recorded` phrases its voices are made; all follow from the seed.
    """

    seed: int = 7
    songs: int = 620
    struck: int = 300
    bars: tuple[int, int] = (8, 17)
    spoken: int = 160
    recorded: int = 100


@dataclass(frozen=True)
class Export:
    """The exported network takes segments of so many frames (1024 samples each).

    `sharpness` and `gain` are those of `training.network.calibrated`: songs that the network
    does not know are separated a little better by a network that is less sure of itself. Both
    were chosen out of a few values on all three validation songs.
    """

    frames: int = 256
    overlap: float = 0.1
    sharpness: float = 0.85
    gain: float = 2.5


@dataclass(frozen=True)
class Recipe:
    """All of it."""

    songs: Songs = field(default_factory=Songs)
    spectrum: Spectrum = field(default_factory=Spectrum)
    network: Network = field(default_factory=Network)
    mixing: Mixing = field(default_factory=Mixing)
    training: Training = field(default_factory=Training)
    albums: tuple[Rendering, ...] = (Rendering(seed=7), Rendering(seed=8))
    export: Export = field(default_factory=Export)
    cache: Path = HERE / "cache"
    runs: Path = HERE / "runs"

    @property
    def pool(self) -> Path:
        """The folder of clips."""
        return self.cache / "pool"
