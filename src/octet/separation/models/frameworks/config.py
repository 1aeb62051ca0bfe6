"""What a YAML file of the training frameworks says of its network, looked at before it is used.

The files are those that Music-Source-Separation-Training reads and others write after it:
`audio` and `inference` tell the segment and how the song is scaled, `training` the stems, and
`model` holds the arguments of the network, which its architecture looks at (`Options`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octet.errors import ModelDamagedError, ModelError
from octet.separation.models.spec import MAX_TEXT, ModelSpec, check_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.separation.models.spec import About, StftSpec

SAMPLERATE = 44_100
MIN_RATE, MAX_RATE = 8_000, 192_000
MAX_SECONDS = 60
"""Of a segment. Those that are published have up to 30."""
MAX_LIST = 1024
MAX_NUMBER = 2**24

_HINT = "Use the YAML file that was published with the checkpoint."
_NO_VOCALS = {"instrumental": "accompaniment", "other": "other", "accompaniment": "accompaniment"}
"""What the frameworks call the song without its vocals, and what Octet does: `instrumental` is
the name of a track that it makes itself."""


@dataclass(frozen=True)
class Config:
    """What a file says.

    Attributes:
        file: its name.
        samplerate: in Hz.
        segment: samples that the network takes at a time.
        sources: the stems that the model gives, in the order of the outputs.
        complement: the network estimates the song without its vocals, and the model gives what
            is left.
        normalize: the network expects the song less its mean and divided by its deviation.
        model: the arguments of the network.
        licence: as the file states it (an addition of Octet's), or empty.
    """

    file: str
    samplerate: int
    segment: int
    sources: tuple[str, ...]
    complement: bool
    normalize: bool
    model: Mapping[str, Any]
    licence: str = ""

    @classmethod
    def read(cls, file: str, content: Mapping[Any, Any]) -> Config:
        """The description out of a mapping, as YAML gives it.

        Args:
            file: its name, for people.
            content: what it holds.

        Raises:
            ModelDamagedError: a part is missing or out of range.
        """
        audio, inference, training, model = (
            _part(file, content, name) for name in ("audio", "inference", "training", "model")
        )
        rate = audio.whole("sample_rate", MIN_RATE, MAX_RATE, SAMPLERATE)
        audio.whole("num_channels", 2, 2, 2)
        # The frameworks prefer the length that is set for use to that of the training.
        timed = inference if "chunk_size" in inference.values else audio
        segment = timed.whole("chunk_size", 1, MAX_SECONDS * rate)
        sources, complement = _sources(file, training.values)
        licence = content.get("licence", "")
        if not isinstance(licence, str) or len(licence) > MAX_TEXT or not licence.isprintable():
            raise ModelDamagedError(f"{file} has a licence that is no line of text", _HINT)
        return cls(
            file=file,
            samplerate=rate,
            segment=segment,
            sources=sources,
            complement=complement,
            normalize=inference.flag("normalize", False),
            model=model.values,
            licence=licence,
        )

    @property
    def key(self) -> str:
        """A hash of all that a converted model depends on besides its weights."""
        facts = (self.samplerate, self.segment, self.sources, self.complement, self.normalize)
        return hashlib.sha256(repr((facts, self.model)).encode()).hexdigest()[:16]

    def options(self) -> Options:
        """The arguments of the network, to be looked at one by one."""
        return Options(self.file, "model", self.model)

    def describe(self, about: About, stft: StftSpec, *, tail: int = 0) -> ModelSpec:
        """What a network takes and gives that works on spectra.

        Args:
            about: name, licence and origin.
            stft: the transform around it.
            tail: samples behind a segment that it is given besides.

        Raises:
            ModelDamagedError: the numbers make no sense together.
        """
        return ModelSpec(
            name=about.name,
            sources=self.sources,
            samplerate=self.samplerate,
            segment=self.segment,
            kind="spectral",
            stft=stft,
            tail=tail,
            normalize=self.normalize,
            licence=about.licence,
            origin=about.origin,
        )


class Options:
    """A part of the file. Each value is held against its bounds when it is read.

    All methods raise ModelDamagedError where the value is missing and has no default, is no such
    value, or out of range.
    """

    def __init__(self, file: str, part: str, values: Mapping[str, Any]) -> None:
        self.values = values
        self._file, self._part = file, part
        self._seen: set[str] = set()

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self._value(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(name, f"no whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A number from `low` to `high`."""
        return self._number(name, self._value(name, default), low, high)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Yes or no."""
        value = self._value(name, default)
        if type(value) is not bool:
            raise self._wrong(name, "neither true nor false")
        return value

    def text(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """One of the words that are known."""
        value = self._value(name, default)
        if not isinstance(value, str) or value not in known:
            raise self._wrong(name, f"none of {', '.join(known)}")
        return value

    def wholes(
        self,
        name: str,
        low: int,
        high: int,
        *,
        count: int | None = None,
        default: tuple[int, ...] | None = None,
    ) -> tuple[int, ...]:
        """A list of whole numbers from `low` to `high`: `count` of them, or 1 to MAX_LIST."""
        values = self._list(name, count, default)
        if any(type(value) is not int or not low <= value <= high for value in values):
            raise self._wrong(name, f"no list of whole numbers from {low} to {high}")
        return tuple(values)

    def numbers(
        self,
        name: str,
        low: float,
        high: float,
        *,
        count: int | None = None,
        default: tuple[float, ...] | None = None,
    ) -> tuple[float, ...]:
        """A list of numbers from `low` to `high`: `count` of them, or 1 to MAX_LIST."""
        values = self._list(name, count, default)
        return tuple(self._number(name, value, low, high) for value in values)

    def ignore(self, *names: str) -> None:
        """Passes over values that only training needs."""
        self._seen.update(names)

    def close(self) -> None:
        """Makes sure that nothing was passed over.

        Raises:
            ModelError: there is a value that nobody has asked for: it may change the network.
        """
        left = [str(name) for name in self.values if name not in self._seen]
        if left:
            raise ModelError(
                f"{self._file} sets {left[0][:60]!a} in its part {self._part}, which Octet "
                "does not know",
                "Such a network cannot be run here.",
            )

    def _value(self, name: str, default: Any) -> Any:
        self._seen.add(name)
        value = self.values.get(name)
        if value is None:
            value = default
        if value is None:
            raise ModelDamagedError(f"{self._file} does not say {name} in {self._part}", _HINT)
        return value

    def _list(self, name: str, count: int | None, default: Any) -> Any:
        values = self._value(name, default)
        least, most = (1, MAX_LIST) if count is None else (count, count)
        if not isinstance(values, list | tuple) or not least <= len(values) <= most:
            raise self._wrong(name, f"no list of {count or f'1 to {MAX_LIST}'}")
        return values

    def _number(self, name: str, value: Any, low: float, high: float) -> float:
        # Written so that it refuses what is not a number at all (NaN).
        if type(value) not in (int, float) or not low <= value <= high or math.isinf(value):
            raise self._wrong(name, f"no number from {low:g} to {high:g}")
        return float(value)

    def _wrong(self, name: str, what: str) -> ModelDamagedError:
        return ModelDamagedError(f"{self._file}: {name} in {self._part} is {what}", _HINT)


def _part(file: str, content: Mapping[Any, Any], name: str) -> Options:
    values = content.get(name)
    if values is None and name in ("audio", "inference"):
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ModelDamagedError(f"{file} has no part {name} that is a mapping", _HINT)
    return Options(file, name, values)


def _sources(file: str, training: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The stems of the model, and whether they are what the network's estimate leaves."""
    instruments = training.get("instruments")
    target = training.get("target_instrument")
    named = [target] if target else instruments
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ModelDamagedError(f"{file} does not name its stems (training.instruments)", _HINT)
    names = [_NO_VOCALS.get(name.casefold(), name.casefold()) for name in named]
    others = instruments if isinstance(instruments, list) else []
    both = sorted(name.casefold() for name in others if isinstance(name, str))
    if target and names[0] in _NO_VOCALS.values() and len(both) == 2 and "vocals" in both:
        return ("vocals",), True
    check_sources(names)
    return tuple(names), False
