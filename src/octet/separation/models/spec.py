"""What a network takes and gives: the description that a model's file carries of itself."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from octet.errors import ModelDamagedError
from octet.tracks import REST, STEM_FILE, STEMS, TRACKS

Kind = Literal["spectral", "hybrid", "waveform", "mask"]
Padding = Literal["demucs", "demucs-old", "center", "none"]
Window = Literal["hann", "rectangular"]

FORMAT = 1
"""The number of this format of description. One of a later format is refused."""

MAX_SOURCES = 32
MAX_SAMPLERATE = 768_000
MAX_SECONDS = 600
"""Of a segment: its samples and all layers' numbers are in memory at once."""
MAX_TEXT = 1000

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_HINT = "Use the model as its authors published it, or convert it again."


@dataclass(frozen=True)
class StftSpec:
    """The transform around a spectral or hybrid network.

    Attributes:
        n_fft: length of a frame, in samples; even.
        hop: from one frame to the next, in samples.
        padding: how the edges are treated, see `octet.separation.stft`. `demucs-old` is that
            of HDemucs models with `hybrid_old`; `none`, of masks alone, is that frame j begins
            at sample j * hop of a segment, and the segments lie on one grid of frames.
        bins: how many frequencies the network sees, from 0 Hz up. The others are dropped
            before it and are zero after it; in a mask they get its mean. Demucs drops n_fft / 2.
        window: Hann's, or none at all: `rectangular`.
    """

    n_fft: int
    hop: int
    padding: Padding
    bins: int
    window: Window = "hann"

    def __post_init__(self) -> None:
        _require_whole("n_fft", self.n_fft, 4, 2**20)
        _require(self.n_fft % 2 == 0, "`n_fft` is not an even number")
        _require_whole("hop", self.hop, 1, self.n_fft // 2)
        _require(self.padding in get_args(Padding), f"unknown padding {self.padding!r}")
        _require(
            self.padding in ("center", "none") or self.hop * 4 == self.n_fft,
            "Demucs' padding needs a hop of n_fft / 4",
        )
        _require_whole("bins", self.bins, 1, self.n_fft // 2 + 1)
        _require(self.window in get_args(Window), f"unknown window {self.window!r}")
        fits = self.window == "hann" or self.padding == "center"
        _require(fits, "`window` and `padding` disagree")


@dataclass(frozen=True)
class ValidLengths:
    """The lengths that Demucs' waveform network takes without padding zeros to them.

    Each of `depth` layers needs kernel + k * stride samples; `resample` says that the
    network works at twice the rate (`demucs.demucs.Demucs.valid_length`).
    """

    depth: int
    kernel: int
    stride: int
    resample: bool

    def __post_init__(self) -> None:
        _require_whole("depth", self.depth, 1, 16)
        _require_whole("kernel", self.kernel, 1, 1024)
        _require_whole("stride", self.stride, 1, self.kernel)

    def at_least(self, length: int) -> int:
        """The shortest valid length that holds `length` samples."""
        if self.resample:
            length *= 2
        for _ in range(self.depth):
            length = max(1, math.ceil((length - self.kernel) / self.stride) + 1)
        for _ in range(self.depth):
            length = (length - 1) * self.stride + self.kernel
        return math.ceil(length / 2) if self.resample else length


@dataclass(frozen=True)
class ModelSpec:
    """What a network takes and gives, and whose it is.

    Attributes:
        name: short name, as shown to people.
        sources: the stems' names, in the order of the outputs.
        samplerate: in Hz, of input and output.
        segment: samples that the network was made for at a time.
        kind: `spectral`: input `spec` (b, 4, bins, frames) -> output `spec` (b, S, 4, bins,
            frames). `waveform`: input `mix` (b, 2, n) -> output `wave` (b, S, 2, n).
            `hybrid`: both inputs, both outputs; the stems are their sum. Where ONNX forbids
            one name for an input and an output, the output `spec` is named `spec_out`.
            The four channels of a spectrum are left real, left imaginary, right real, right
            imaginary. `mask`: input magnitudes (b, 2, frames, bins) -> output (b, S, 2, frames,
            bins), each stem's share of them; see `octet.separation.masks`.
        stft: the transform around the network; None for `waveform` alone.
        fixed: the network takes segments of exactly `segment` samples (HTDemucs); otherwise
            the last, shorter piece of a song runs at its own length.
        valid_lengths: for Demucs' waveform networks, which lengths fit.
        tail: samples behind a segment that a spectral network is given besides, because its
            frames have to be so many.
        overlap: share of a segment that overlaps with the next, unless asked otherwise.
        normalize: the network expects the song divided by its deviation.
        center: and less its mean, which Demucs adds to every stem again: in a song with an
            offset, silence is then no silence in its stems.
        licence: SPDX identifier, or a sentence.
        origin: where the weights come from: an address, or who trained them on what.
    """

    name: str
    sources: tuple[str, ...]
    samplerate: int
    segment: int
    kind: Kind
    stft: StftSpec | None = None
    fixed: bool = True
    valid_lengths: ValidLengths | None = None
    tail: int = 0
    overlap: float = 0.25
    normalize: bool = True
    center: bool = True
    licence: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        check_sources(self.sources)
        for name in ("name", "licence", "origin"):
            text = getattr(self, name)
            plain = isinstance(text, str) and len(text) <= MAX_TEXT and text.isprintable()
            _require(plain, f"`{name}` is not a line of text")
        for name in ("fixed", "normalize", "center"):
            _require(type(getattr(self, name)) is bool, f"`{name}` is neither true nor false")
        _require_whole("samplerate", self.samplerate, 1, MAX_SAMPLERATE)
        _require_whole("segment", self.segment, 1, MAX_SECONDS * self.samplerate)
        _require_whole("tail", self.tail, 0, self.segment)
        _require(self.kind in get_args(Kind), f"unknown kind {self.kind!r}")
        _require((self.stft is None) == (self.kind == "waveform"), "`stft` and `kind` disagree")
        if self.stft is not None:
            masks = self.kind == "mask"
            _require((self.stft.padding == "none") == masks, "`padding` and `kind` disagree")
            _require(not masks or (self.fixed and self.frames >= 1), "a mask needs whole frames")
        fits = not self.tail or (self.fixed and self.kind == "spectral")
        _require(fits, "`tail` and `kind` disagree")
        _require(0 <= self.overlap < 1, "`overlap` is not within 0 to 1")

    @property
    def frames(self) -> int:
        """Of a segment of a `mask` model, which begins and ends with a whole frame; else 0."""
        if self.stft is None or self.kind != "mask":
            return 0
        frames, rest = divmod(self.segment - self.stft.n_fft, self.stft.hop)
        return frames + 1 if rest == 0 else 0

    def valid_length(self, length: int) -> int:
        """How many samples to run the network on, for a piece of `length` samples."""
        if self.fixed:
            return self.segment + self.tail
        return self.valid_lengths.at_least(length) if self.valid_lengths else length

    def to_json(self) -> str:
        """The metadata property's value."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Reads the metadata property's value.

        Raises:
            ModelDamagedError: it is not such an object, or of a later format.
        """
        try:
            values = json.loads(text)
            _require(values.pop("format") <= FORMAT, "it was written by a later Octet")
            return cls(**_known(cls, values))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelDamagedError(
                f"the model's description cannot be read: {error!r}",
                "Convert the model again with this version of Octet.",
            ) from error


@dataclass(frozen=True)
class About:
    """What is known of a network besides its checkpoint.

    Attributes:
        name: of the model.
        licence: of the weights, and `origin`: where they come from.
        segment: in seconds, as a bag sets it in place of the network's own; None keeps that.
    """

    name: str
    licence: str = ""
    origin: str = ""
    segment: float | None = None


def check_sources(sources: object) -> None:
    """Holds the names of a model's stems against what may become the name of a file.

    Raises:
        ModelDamagedError: there are none or too many, one is no plain name, or it would be
            taken for another of them or for one of Octet's own tracks.
    """
    if not isinstance(sources, list | tuple) or not 1 <= len(sources) <= MAX_SOURCES:
        raise ModelDamagedError(f"the model does not name 1 to {MAX_SOURCES} sources", _HINT)
    folded = []
    for name in sources:
        if not isinstance(name, str) or not _SOURCE.fullmatch(name):
            raise ModelDamagedError(
                f"the model has a source with the name {str(name)[:40]!r}",
                "A source's name is 1 to 40 of the letters a to z, digits, hyphens, underscores.",
            )
        # Some file systems do not tell capitals from small letters.
        folded.append(name.casefold())
        if folded[-1] in (*TRACKS, REST, STEM_FILE) and name not in STEMS:
            raise ModelDamagedError(
                f"the model has a source named {name}, as a track of Octet's is", _HINT
            )
    _require(len(set(folded)) == len(folded), "a source is named twice")


def _require_whole(name: str, value: object, low: int, high: int) -> None:
    _require(
        type(value) is int and low <= value <= high,
        f"`{name}` is no whole number from {low} to {high}",
    )


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ModelDamagedError(f"the model's description makes no sense: {reason}", _HINT)


def _known(cls: type[ModelSpec], values: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments out of a JSON object."""
    names = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"unknown fields {', '.join(unknown)}")
    check_sources(values["sources"])
    values["sources"] = tuple(values["sources"])
    for name, kind in (("stft", StftSpec), ("valid_lengths", ValidLengths)):
        if values.get(name) is not None:
            values[name] = kind(**values[name])
    return values
