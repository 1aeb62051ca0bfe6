"""Two models as one: the first takes the voices out, the second separates what remains."""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from octet.audio.stored import StoredSamples
from octet.errors import SettingError
from octet.results import manifest
from octet.results.cascades import JOINT, check_roles, stricter
from octet.separation.model import ONCE
from octet.settings import default_scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from octet.separation.model import Model, Passes, Song

_EVEN = 0.5
"""The first model's share of the time, until a song has shown it."""


class Cascade:
    """What separates by two models, one after the other. A `Model` itself.

    The first one's pass writes the rest, the song minus its vocals, into a scratch file of 8
    bytes a sample. The second one walks that as a song with a mean and a deviation of its own.
    What it takes for vocals there stays in the mix minus vocals, drums and bass: `other`.

    Args:
        first: gives vocals.
        second: gives drums and bass.

    Attributes:
        sources: vocals, and what the second model gives besides.
        samplerate: of both, in Hz.

    Raises:
        SettingError: one does not give what it is there for, or they work at different rates.
    """

    def __init__(self, first: Model, second: Model) -> None:
        names = (first.identity.name, second.identity.name)
        check_roles(names, (first.sources, second.sources))
        if None not in (first.samplerate, second.samplerate) and (
            first.samplerate != second.samplerate
        ):
            raise SettingError(
                f"{names[0]} works at {first.samplerate} Hz, {names[1]} at {second.samplerate} Hz",
                "A cascade takes two models of one rate.",
            )
        self._first, self._second = first, second
        self._share = _EVEN
        self._kept = [i for i, name in enumerate(second.sources) if name != "vocals"]
        self.sources = ("vocals", *(second.sources[i] for i in self._kept))
        self.samplerate = first.samplerate or second.samplerate

    @property
    def identity(self) -> manifest.Model:
        """Both names, the SHA-256 of both hashes, one a line, and the stricter licence."""
        both = (self._first.identity, self._second.identity)
        lines = "".join(f"{one.sha256}\n" for one in both)
        return manifest.Model(
            name=JOINT.join(one.name for one in both),
            sha256=hashlib.sha256(lines.encode()).hexdigest(),
            licence=stricter(both),
            commercial=all(one.commercial for one in both),
        )

    @property
    def runtime(self) -> dict[str, str]:
        """What computes; where the two differ, both, joined by a plus sign."""
        first, second = self._first.runtime, self._second.runtime
        joined = {}
        for name in ("name", "device", "precision"):
            joined[name] = JOINT.join(dict.fromkeys((first[name], second[name])))
        again = sum(int(one.get("fp32_segments", 0)) for one in (first, second))
        return joined | ({"fp32_segments": str(again)} if again else {})

    @property
    def description(self) -> str:
        """All that in one line, for people."""
        return (
            f"{self.identity.name}: vocals by {self._first.description}; "
            f"the rest by {self._second.description}"
        )

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Separates a song, as `octet.separation.model.Model.stems` says.

        Memory does not grow with the song. The first block comes once the first model is
        through.

        Raises:
            OutputError: `passes.scratch` has no room, besides what the models raise.
        """
        if self.samplerate is not None and song.rate != self.samplerate:
            raise SettingError(
                f"the model works at {self.samplerate} Hz, and the song is at {song.rate} Hz",
                "Resample it first.",
            )
        return self._stems(song, passes)

    def _stems(self, song: Song, passes: Passes) -> Generator[np.ndarray, None, None]:
        share, began = self._share, time.perf_counter()
        with StoredSamples(song.rate, passes.scratch or default_scratch()) as rest:
            self._take_out(song, rest, _part(passes, 0.0, share))
            between = time.perf_counter()
            yield from self._separate(song, rest, _part(passes, share, 1.0))
        # How long each takes shows once both have run: the next song's progress is even then.
        ended = time.perf_counter()
        self._share = min(0.95, max(0.05, (between - began) / max(ended - began, 1e-9)))

    def _take_out(self, song: Song, rest: StoredSamples, passes: Passes) -> None:
        """Writes the song without the first model's vocals."""
        at = self._first.sources.index("vocals")
        with closing(self._first.stems(song, passes)) as blocks:
            for block in blocks:
                rest.append(song.read(rest.samples, block.shape[-1]) - block[at])

    def _separate(
        self, song: Song, rest: StoredSamples, passes: Passes
    ) -> Generator[np.ndarray, None, None]:
        position = 0
        with closing(self._second.stems(rest, passes)) as blocks:
            for block in blocks:
                count = block.shape[-1]
                # What is not in the rest is what the first model took out.
                vocals = song.read(position, count) - rest.read(position, count)
                yield np.concatenate([vocals[None], block[self._kept]])
                position += count


def _part(passes: Passes, start: float, end: float) -> Passes:
    """The same passes, whose progress goes from `start` to `end` of the whole."""
    tell: Callable[[float], None] | None = passes.on_progress
    if tell is None:
        return passes
    return replace(passes, on_progress=lambda share: tell(start + (end - start) * share))
