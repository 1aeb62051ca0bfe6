"""A recipe: all that shapes a result besides the song. Resolved, checked and named here alone.

The API owns the default: it resolves what a client asks for against its own settings and writes
the whole recipe into the message, so that what was accepted is what a worker makes. A message
of somebody else says little or nothing: the worker fills it up from its own settings.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from octet.errors import ModelPolicyError, SettingError, UnknownModelError
from octet.formats import FORMATS, Encoding
from octet.results.cascades import JOINT, check_whole, known, missing_stems, parts
from octet.tracks import STEM_FILE, WITHOUT, on_request, tracks_of, unknown_track

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from octet.results.cascades import KnownModel
    from octet.settings import SeparationSettings

MOST_SHIFTS = 20
"""Passes that a client may ask for: each costs as much as the separation itself."""

MOST_PASSES = 40.0
"""How often a client may have the same second of a song computed: shifts, times segments that lie
over each other."""

_LONGEST_NAME = 200
_MOST_TRACKS = 32


@dataclass(frozen=True)
class Recipe:
    """The effective settings of a separation: nothing is left to a default.

    Attributes:
        model: name of the model. Never to be opened as a path unless the operator set it.
        format: file format of the tracks, of `octet.formats`.
        bits: bits a sample of a lossless format; None takes the song's own. A stem file is lossless
            if they are given.
        bitrate: kilobits a second of a lossy format; None where there is nothing to choose.
        overlap: share by which segments overlap, 0 to below 1; None is the model's own.
        shifts: averaged passes at random offsets; 0 is one pass without.
        damaged: `refuse` a song that is damaged in a place, or `skip` the place, which puts silence
            of the same length there.
        tracks: the tracks to make, in their usual order; empty for all of the model's. The song
            without a stem, `no_vocals`, is made only where it is named.
    """

    model: str
    format: str = "mp3"
    bits: int | None = None
    bitrate: int | None = None
    overlap: float | None = None
    shifts: int = 0
    damaged: str = "refuse"
    tracks: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """All but the tracks, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "tracks"}

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the canonical JSON: equal for equal recipes alone."""
        return _digest(self.to_dict())

    @property
    def passes(self) -> float:
        """How often each second of the song is computed, by shifts and overlap; 1 is once."""
        return max(1, self.shifts) / (1 - (self.overlap or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; `tracks` is left out where all are meant."""
        return {**self.settings, **({"tracks": list(self.tracks)} if self.tracks else {})}

    def includes(self, other: Recipe) -> bool:
        """Whether a result of this recipe holds all that one of the other would hold.

        What becomes of damaged places is not compared: it makes a difference to damaged songs
        alone, and their manifests tell.
        """
        if replace(self, tracks=(), damaged="") != replace(other, tracks=(), damaged=""):
            return False
        if not self.tracks:
            return not any(name.startswith(WITHOUT) for name in other.tracks)
        return bool(other.tracks) and {*other.tracks} <= {*self.tracks}


FIELDS = tuple(field.name for field in fields(Recipe))
"""What a request or a message may set. Paths and limits are not a client's business."""


@dataclass(frozen=True)
class Offer:
    """What a service makes: its default recipe, and which others it may be asked for.

    Attributes:
        default: the recipe of those who ask for nothing; its results have the contract's plain
            names.
        models: the models that may be named, by name.
        policy: `commercial` refuses models whose licence forbids commercial use.
    """

    default: Recipe
    models: Mapping[str, KnownModel]
    policy: str = "any"

    @classmethod
    def of(cls, settings: SeparationSettings, models: Mapping[str, KnownModel]) -> Offer:
        """What these settings offer.

        Raises:
            SettingError: format, bits and bit rate do not go together, the model makes no eight
                tracks, or the format puts all stems into one file: clients of the contract count
                on eight under the plain names.
        """
        if FORMATS[settings.format].streams > 1:
            raise SettingError(
                f"a service cannot make {settings.format} its format (OCTET_FORMAT)",
                "Clients of /apiv1 and of the bucket count on eight files. Keep another one, and"
                f" ask for format={settings.format} song by song",
            )
        if settings.model in models:
            check_whole(models[settings.model])
        given = {name: getattr(settings, name) for name in FIELDS if name != "tracks"}
        return cls(encoded(Recipe(**given)), models, settings.model_policy)

    def resolve(self, given: Mapping[str, Any]) -> Recipe:
        """The recipe of somebody who asks for this, complete and checked.

        Args:
            given: some of `FIELDS`; None, or a name left out, stands for the default. Bits and
                bit rate of the default are kept where the format that is asked for has them.

        Raises:
            SettingError: a setting makes no sense, alone or beside the others.
            UnknownModelError: there is no such model.
            ModelPolicyError: its licence does not allow what this service is for.
        """
        recipe = self.fill(given)
        self.check_model(recipe.model)
        return recipe

    def fill(self, given: Mapping[str, Any]) -> Recipe:
        """The same, whether or not there is such a model.

        Raises:
            SettingError: a setting makes no sense, alone or beside the others.
        """
        recipe = self._filled(given)
        return replace(recipe, tracks=self._tracks(recipe))

    def key(self, recipe: Recipe) -> str:
        """What names the recipe's result beside the song: empty for the default."""
        return "" if recipe == self.default else recipe.fingerprint

    def complete(self, given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The key and the whole recipe of what a message of somebody else asks for.

        What makes no sense gets a key of its own and stays as it is: the worker that resolves
        it says what is wrong.
        """
        try:
            recipe = self.fill(given)
        except SettingError:
            return _digest(given), given
        return self.key(recipe), recipe.to_dict()

    def listed(self) -> list[KnownModel]:
        """The models that a job may name, and the default if it is another cascade.

        One that gives vocals alone stands there in a cascade with the first that gives the rest.
        """
        whole = [model for model in self.models.values() if not missing_stems(model)]
        partial = [model for model in self.models.values() if model not in whole]
        names = [f"{one.name}{JOINT}{rest.name}" for one in partial for rest in whole[:1]]
        if self.default.model not in {*self.models, *names}:
            names.append(self.default.model)
        found = whole
        for name in names:
            with suppress(UnknownModelError, SettingError):  # a folder of the operator's
                found.append(known(self.models, name))
        return found

    def check_model(self, name: str) -> None:
        """Holds a model's name against those that may be asked for. It is never opened.

        Raises:
            UnknownModelError: there is none of this name.
            ModelPolicyError: its licence does not allow what this service is for.
            SettingError: it makes no eight tracks, or two are named that make no cascade.
        """
        if name == self.default.model:
            return
        check_whole(known(self.models, name))
        for part in parts(name):
            model = self.models[part]
            if self.policy == "commercial" and not model.commercial:
                raise ModelPolicyError(
                    f"the licence of {part} ({model.licence or 'not stated'}) does not allow "
                    "commercial use",
                    "Choose another model, or set OCTET_MODEL_POLICY=any where its licence is kept",
                )

    def _filled(self, given: Mapping[str, Any]) -> Recipe:
        named = {name: value for name, value in given.items() if value is not None}
        for name, value in named.items():
            if name not in FIELDS:
                raise SettingError(
                    f"a recipe cannot set {name[:80]!a}", f"It can set {', '.join(FIELDS)}"
                )
            named[name] = _CHECKS[name](name, value)
        base = self.default
        wanted = named.get("format", base.format)
        if wanted != base.format:
            base = _in_format(base, wanted)
        if "bits" in named:  # a default's bit rate says nothing about what shall be lossless
            base = replace(base, bitrate=None)
        recipe = encoded(replace(base, **named))
        if recipe.passes > max(MOST_PASSES, self.default.passes):
            raise SettingError(
                f"{recipe.shifts} shifts and an overlap of {recipe.overlap or 0:g} compute the song"
                f" {recipe.passes:.0f} times",
                f"Ask for at most {MOST_PASSES:g}",
            )
        return recipe

    def _tracks(self, recipe: Recipe) -> tuple[str, ...]:
        """The tracks in their order; empty when they are all that the model gives."""
        there = tracks_in(recipe.format, self._sources(recipe.model))
        chosen = chosen_tracks(recipe.tracks, there)
        return () if chosen == there else chosen

    def _sources(self, model: str) -> tuple[str, ...]:
        """Of a model, or none where it is not known: whether there is one is asked elsewhere."""
        try:
            return known(self.models, model).sources
        except (UnknownModelError, SettingError):
            return ()


def tracks_in(name: str, sources: Iterable[str]) -> tuple[str, ...]:
    """The tracks that a model's sources allow in the format `name`, in their order."""
    return (STEM_FILE,) if FORMATS[name].streams > 1 else tracks_of(sources)


def chosen_tracks(names: Collection[str], there: tuple[str, ...]) -> tuple[str, ...]:
    """The tracks of these names, in their order; none where none is named.

    Args:
        names: some of `there`, or the song without a stem: `no_vocals`.
        there: all tracks of a model.

    Raises:
        SettingError: one is not there.
    """
    known = (*there, *on_request(there))
    for name in names:
        if name not in known:
            raise unknown_track(name, there)
    return tuple(name for name in known if name in names)


def encoded(recipe: Recipe) -> Recipe:
    """The recipe with its format's own bit rate where none is named.

    Raises:
        SettingError: format, bits and bit rate do not go together.
    """
    encoding = Encoding(recipe.format, bits=recipe.bits, bitrate=recipe.bitrate)
    return replace(recipe, bitrate=recipe.bitrate or encoding.kilobits)


def _in_format(base: Recipe, wanted: str) -> Recipe:
    """The default in another format, with its bits and bit rate as far as that one has them.

    Where bits decide between lossless and lossy, as of stem files, they have to be asked for.
    """
    held = FORMATS[wanted]
    least, most = held.bitrates or (1, 0)
    # A default that nobody chose is the format's own, and says nothing about another format.
    own = base.bitrate == FORMATS[base.format].bitrate
    fits = base.bitrate is not None and least <= base.bitrate <= most and not own
    return replace(
        base,
        format=wanted,
        bits=base.bits if base.bits in held.bits and not held.bitrates else None,
        bitrate=base.bitrate if fits else None,
    )


def _name(what: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise SettingError(f"the {what} is not a name", f"At most {_LONGEST_NAME} characters")
    return value


def _format(what: str, value: Any) -> str:
    if _name(what, value) not in FORMATS:
        raise SettingError(f"there is no format {value[:40]!a}", f"There are {_list(FORMATS)}")
    return str(value)


def _damaged(what: str, value: Any) -> str:
    if value not in ("refuse", "skip"):
        raise SettingError(f"{what} can be refuse or skip", "refuse is the default")
    return str(value)


def _whole(what: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingError(f"{what} is not a whole number")
    return value


def _shifts(what: str, value: Any) -> int:
    number = _whole(what, value)
    if not 0 <= number <= MOST_SHIFTS:
        raise SettingError(f"{number} shifts are not possible", f"From 0 to {MOST_SHIFTS} are")
    return number


def _overlap(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise SettingError(f"the {what} is not a share", "From 0 to below 1")
    return float(value)


def _names(what: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_TRACKS:
        raise SettingError(f"{what} is not a list of names", f"At most {_MOST_TRACKS}")
    return tuple(_name("track", name) for name in value)


_CHECKS = {
    "model": _name,
    "format": _format,
    "bits": _whole,
    "bitrate": _whole,
    "overlap": _overlap,
    "shifts": _shifts,
    "damaged": _damaged,
    "tracks": _names,
}


def _list(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    return ", ".join(names)


def _digest(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
