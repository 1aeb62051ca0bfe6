"""A loaded model at work: a song in, blocks of its stems out, in order, as they are ready."""

from __future__ import annotations

import heapq
import random
import threading
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from octet.errors import ModelDamagedError, ModelError, SettingError
from octet.separation.model import ONCE
from octet.separation.pipeline import ahead
from octet.separation.segments import (
    MAX_SHIFT_SECONDS,
    Average,
    FrameAdd,
    FrameWalk,
    Mix,
    OverlapAdd,
    Walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from octet.separation.model import Passes, Song
    from octet.separation.models.spec import ModelSpec
    from octet.separation.runtimes.network import Network, Running
    from octet.separation.segments import Piece


@dataclass(frozen=True)
class Member:
    """A network of a model, and how much its estimate of each source counts in the sum."""

    network: Network
    weights: tuple[float, ...]


class Engine:
    """One network, or a bag of several whose estimates are averaged.

    Separates one song at a time.

    Args:
        members: one or more, of the same sources and rate.

    Attributes:
        sources: the stems' names, in the order of the blocks.
        samplerate: of the songs that it takes, in Hz.
        overlap: share by which segments overlap unless asked otherwise.
        fp32_segments: of the last song, those that were computed again in fp32, because half
            precision had given what are no numbers.

    Raises:
        ModelDamagedError: the members do not fit together.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        specs = [member.network.spec for member in members]
        if not specs:
            raise ModelDamagedError("the model has no networks")
        self.members = tuple(members)
        self.sources = specs[0].sources
        self.samplerate = specs[0].samplerate
        self.overlap = specs[0].overlap
        self.fp32_segments = 0
        if any((s.sources, s.samplerate) != (self.sources, self.samplerate) for s in specs):
            raise ModelDamagedError("the model's networks differ in their sources or rates")
        if any(len(member.weights) != len(self.sources) for member in members):
            raise ModelDamagedError("the model's weights are not one for each source")
        if not (np.sum([member.weights for member in members], axis=0) > 0).all():
            raise ModelDamagedError("the model's weights leave a source without an estimate")

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Separates a song, as `octet.separation.model.Model.stems` says.

        Equals `demucs.api`'s separation of the same samples. Memory does not grow with the
        song.
        """
        if song.rate != self.samplerate:
            raise SettingError(
                f"the model works at {self.samplerate} Hz, and the song is at {song.rate} Hz",
                "Resample it first.",
            )
        shifts = passes.shifts
        if shifts < 0:
            raise SettingError(f"{shifts} shifts are not possible", "Choose 0 or more.")
        share = self.overlap if passes.overlap is None else passes.overlap
        lanes = self._lanes(song, share, self._leads(shifts, passes.seed))
        weights = np.repeat([member.weights for member in self.members], max(1, shifts), axis=0)
        self.fp32_segments = 0
        return _Pass(lanes, Average(weights), self._count_fp32).blocks(
            passes.on_progress, passes.cancelled
        )

    def _count_fp32(self, segments: int) -> None:
        self.fp32_segments += segments

    def _leads(self, shifts: int, seed: int | None) -> list[list[int]]:
        """For each member, the silence before the song in each of its passes."""
        if shifts == 0:
            return [[0] for _ in self.members]
        most = int(MAX_SHIFT_SECONDS * self.samplerate)
        # One after the other, member by member, as Demucs draws them.
        draw = random.Random(seed)  # noqa: S311  # nothing secret
        return [[most - draw.randint(0, most) for _ in range(shifts)] for _ in self.members]

    def _lanes(self, song: Song, overlap: float, leads: list[list[int]]) -> list[_Lane]:
        return [
            _Lane(
                member.network,
                Mix.as_expected(song, member.network.spec),
                _way(member.network.spec, song.samples, overlap, lead),
                len(self.sources),
            )
            for member, passes in zip(self.members, leads, strict=True)
            for lead in passes
        ]


def _way(spec: ModelSpec, samples: int, overlap: float, lead: int) -> Walk | FrameWalk:
    return (FrameWalk if spec.kind == "mask" else Walk)(spec, samples, overlap, lead)


class _Lane:
    """One pass of one network over the song."""

    def __init__(self, network: Network, mix: Mix, walk: Walk | FrameWalk, stems: int) -> None:
        self.network = network
        self.walk = walk
        self._mix = mix
        self._joined: OverlapAdd | FrameAdd = (
            FrameAdd(walk, stems) if isinstance(walk, FrameWalk) else OverlapAdd(walk, stems)
        )

    def batches(self) -> Iterator[list[Piece]]:
        """The pieces, as many at a time as the network wants, all of one length."""
        batch: list[Piece] = []
        for piece in self.walk:
            full = len(batch) >= self.network.batch
            if batch and (full or batch[0].run_length != piece.run_length):
                yield batch
                batch = []
            batch.append(piece)
        if batch:
            yield batch

    def prepare(self, network: Network, pieces: list[Piece]) -> Any:
        """What a network starts on, for pieces of one length."""
        mix = np.stack([self._mix.read(piece.run_start, piece.run_length) for piece in pieces])
        fades = [piece.fade for piece in pieces if piece.fade is not None]
        return network.prepare(mix, np.stack(fades)) if fades else network.prepare(mix)

    def again(self, pieces: list[Piece]) -> np.ndarray:
        """The stems of pieces of one length in fp32, whatever the network's own precision.

        Raises:
            ModelError: they are no numbers either.
        """
        half = self.network.precision != "fp32"
        stems = None
        if half:
            exact = self.network.exact()
            stems = exact.start(self.prepare(exact, pieces)).stems()
        if stems is None or not np.isfinite(stems).all():
            raise ModelError(
                "the network gave values that are no numbers, in fp32 too", "Use another model."
            )
        return stems

    def join(self, piece: Piece, stems: np.ndarray) -> np.ndarray:
        """The next block (S, 2, n) of this pass, given the next piece's stems."""
        return self._mix.restore(self._joined.add(piece.trim(stems)))


@dataclass(frozen=True)
class _Work:
    """A batch of pieces of one lane, on its way through the stages."""

    lane: int
    pieces: list[Piece]


class _Pass:
    """All lanes through the three stages: prepare, compute, join."""

    def __init__(
        self, lanes: list[_Lane], average: Average, on_fp32: Callable[[int], None]
    ) -> None:
        self._lanes = lanes
        self._average = average
        self._on_fp32 = on_fp32
        self._stopped = threading.Event()

    def blocks(
        self,
        on_progress: Callable[[float], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Generator[np.ndarray, None, None]:
        """See `Engine.stems`."""
        total = sum(len(lane.walk) for lane in self._lanes)
        done = 0
        prepared = ahead(self._prepare(), name="octet-prepare", interrupt=self._interrupt)
        computed = ahead(self._compute(prepared), name="octet-compute", interrupt=self._interrupt)
        joined = ahead(
            self._join(computed),
            name="octet-join",
            interrupt=self._interrupt,
            cancelled=cancelled,
        )
        try:
            with closing(joined):
                for done, block in enumerate(joined, 1):
                    if on_progress is not None:
                        on_progress(done / total)
                    if block.shape[-1]:
                        yield block
            if done < total:
                raise ModelError(f"the network gave {done} of {total} segments", "Try again.")
        finally:
            for lane in self._lanes:
                lane.network.drain()

    def _schedule(self) -> Iterator[_Work]:
        """Batches of all lanes, in the order in which their blocks belong in the song."""

        def work(index: int, lane: _Lane) -> Iterator[tuple[int, _Work]]:
            for pieces in lane.batches():
                yield pieces[-1].start + lane.walk.stride, _Work(index, pieces)

        lanes = [work(index, lane) for index, lane in enumerate(self._lanes)]
        return (item for _, item in heapq.merge(*lanes, key=lambda entry: entry[0]))

    def _prepare(self) -> Generator[tuple[_Work, Any], None, None]:
        for work in self._schedule():
            lane = self._lanes[work.lane]
            yield work, lane.prepare(lane.network, work.pieces)

    def _compute(
        self, prepared: Generator[tuple[_Work, Any], None, None]
    ) -> Generator[tuple[_Work, Running], None, None]:
        """Keeps as many batches under way as the network is wide."""
        under_way: deque[tuple[_Work, Running]] = deque()
        with closing(prepared):
            for work, inputs in prepared:
                if self._stopped.is_set():
                    return
                network = self._lanes[work.lane].network
                under_way.append((work, network.start(inputs)))
                if self._stopped.is_set():  # perhaps the interrupt came before the start
                    network.interrupt()
                while len(under_way) >= network.width:
                    under_way[0][1].wait()
                    yield under_way.popleft()
            yield from under_way

    def _join(
        self, computed: Generator[tuple[_Work, Running], None, None]
    ) -> Generator[np.ndarray, None, None]:
        """One block a piece, which may be empty."""
        with closing(computed):
            for work, running in computed:
                batch = self._result(work, running)
                if batch is None:  # go on, to the error that stopped the pass
                    continue
                lane = self._lanes[work.lane]
                for piece, stems in zip(work.pieces, batch, strict=True):
                    yield self._average.add(work.lane, lane.join(piece, stems))

    def _result(self, work: _Work, running: Running) -> np.ndarray | None:
        """The stems of a batch; None once the pass is stopped, where they may be anything."""
        try:
            batch = running.stems()
            if not self._stopped.is_set() and not np.isfinite(batch).all():
                batch = self._lanes[work.lane].again(work.pieces)
                self._on_fp32(len(work.pieces))
        except Exception:
            if not self._stopped.is_set():
                raise
            return None
        return None if self._stopped.is_set() else batch

    def _interrupt(self) -> None:
        self._stopped.set()
        for lane in self._lanes:
            lane.network.interrupt()
