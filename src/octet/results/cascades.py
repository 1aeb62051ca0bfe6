"""Names of two models as one, `A+B`: A takes out the vocals, B separates the rest.

Nothing here loads or opens anything: the API checks such names with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from octet.errors import SettingError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOINT = "+"

_FREE = ("CC0-1.0", "0BSD", "Unlicense", "MIT-0")
_SHARED_ALIKE = ("CC-BY-SA-4.0",)


class Licensed(Protocol):
    """What has a licence."""

    @property
    def licence(self) -> str: ...  # noqa: D102  # SPDX identifier, or a sentence
    @property
    def commercial(self) -> bool: ...  # noqa: D102  # whether it allows commercial use


class KnownModel(Licensed, Protocol):
    """What is asked of a model in the list of those that may be named."""

    @property
    def name(self) -> str: ...  # noqa: D102  # as in a recipe
    @property
    def description(self) -> str: ...  # noqa: D102  # one sentence for people
    @property
    def sources(self) -> tuple[str, ...]: ...  # noqa: D102  # names of its stems


@dataclass(frozen=True)
class KnownCascade:
    """Two known models as one; the attributes are those of `KnownModel`."""

    name: str
    description: str
    sources: tuple[str, ...]
    licence: str
    commercial: bool


def parts(name: str) -> tuple[str, ...]:
    """The models that a name joins: one, or two of a cascade.

    Raises:
        UnknownModelError: there are more, or a part is empty.
    """
    found = tuple(name.split(JOINT))
    if len(found) > 2 or (len(found) == 2 and not all(found)):
        raise UnknownModelError(
            f"there is no model {name[:80]!a}", "A cascade joins two models, as pocket+pocket does."
        )
    return found


def known(models: Mapping[str, KnownModel], name: str) -> KnownModel:
    """The model of a name, or what two of them make.

    Raises:
        UnknownModelError: there is none; for a cascade, the part that is unknown is named.
        SettingError: the two make no cascade.
    """
    found = []
    for part in parts(name):
        if part not in models:
            raise UnknownModelError(
                f"there is no model {part[:80]!a}", f"There are {', '.join(models)}"
            )
        found.append(models[part])
    if len(found) == 1:
        return found[0]
    first, second = found
    check_roles((first.name, second.name), (first.sources, second.sources))
    return KnownCascade(
        name=name,
        description=f"Vocals by {first.name}, and the rest by {second.name}.",
        sources=("vocals", *(source for source in second.sources if source != "vocals")),
        licence=stricter((first, second)),
        commercial=first.commercial and second.commercial,
    )


def missing_stems(model: KnownModel) -> list[str]:
    """The stems without which a model cannot make the eight tracks alone."""
    return [stem for stem in ("vocals", "drums", "bass") if stem not in model.sources]


def check_whole(model: KnownModel) -> None:
    """Refuses a model that cannot make the eight tracks alone.

    Raises:
        SettingError: it gives no vocals, no drums or no bass.
    """
    if missing := missing_stems(model):
        raise SettingError(
            f"{model.name} alone gives no {missing[0]}",
            f"In a cascade another model separates the rest, as in {model.name}{JOINT}pocket.",
        )


def check_roles(names: tuple[str, str], sources: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Holds the stems of two models against what a cascade needs of them.

    Raises:
        SettingError: the first gives no vocals, or the second no drums or no bass.
    """
    for name, given, needed in zip(names, sources, (("vocals",), ("drums", "bass")), strict=True):
        missing = [stem for stem in needed if stem not in given]
        if missing:
            raise SettingError(
                f"{names[0]}{JOINT}{names[1]} is no cascade: {name} gives no {missing[0]}",
                "The first model takes out the vocals, the second one the drums and the bass.",
            )


def stricter(both: Sequence[Licensed]) -> str:
    """The licence that allows less; both where neither is known to allow less."""
    least = max(_strictness(one) for one in both)
    return "; ".join(dict.fromkeys(one.licence for one in both if _strictness(one) == least))


def _strictness(one: Licensed) -> int:
    if not one.commercial:
        return 4
    if one.licence in _FREE:
        return 0
    return 2 if one.licence in _SHARED_ALIKE else 1
