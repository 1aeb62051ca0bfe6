# The helpers of these tests carry no annotations.
from __future__ import annotations

import random
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.errors import CancelledError, ModelDamagedError, ModelError, SettingError
from octet.separation.engine import Engine, Member
from octet.separation.model import Passes
from octet.separation.models.spec import ModelSpec

if TYPE_CHECKING:
    from octet.separation.runtimes.network import Device, Precision, RuntimeName

SPEC = ModelSpec("halves", ("a", "b"), 44100, segment=1000, kind="waveform", normalize=False)


class Halves:
    """A network whose stems are each half of the mix: they sum to what was put in.

    It is the smallest thing that satisfies `Network`, and computes in the caller's thread.
    """

    name: RuntimeName = "torch"
    device: Device = "cpu"
    precision: Precision = "fp32"
    loaded_from = "a test"
    width = 1

    def __init__(self, spec=SPEC, batch=1, scale=1.0):
        self.spec = spec
        self.batch = batch
        self.scale = scale
        self.sizes = []
        self.interrupted = threading.Event()

    def prepare(self, mix, fade=None):
        assert mix.dtype == np.float32
        return mix

    def start(self, prepared):
        self.sizes.append(prepared.shape)
        half = prepared * np.float32(0.5 * self.scale)
        return Done(np.stack([half] * len(self.spec.sources), axis=1))

    def exact(self):
        return Halves(self.spec)

    def interrupt(self):
        self.interrupted.set()

    def drain(self):
        self.interrupted.set()


class Done:
    def __init__(self, result):
        self.result = result

    def wait(self):
        pass

    def stems(self):
        return self.result


class Slow(Halves):
    """Its work takes half a minute, unless it is interrupted."""

    def start(self, prepared):
        self.sizes.append(prepared.shape)
        self.interrupted.wait(30)
        return Done(np.zeros((1, 2, *prepared.shape[1:]), np.float32))


def engine_of(*networks, weights=None):
    given_weights = weights or [(1.0,) * len(n.spec.sources) for n in networks]
    return Engine([Member(n, w) for n, w in zip(networks, given_weights, strict=True)])


def whole(blocks):
    blocks = list(blocks)
    return np.concatenate(blocks, axis=-1) if blocks else None


@pytest.fixture(autouse=True)
def no_thread_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 5000),
    segments=st.lists(st.integers(300, 1500), min_size=1, max_size=3),
    overlap=st.floats(0, 0.9),
    shifts=st.integers(0, 2),
    batch=st.integers(1, 4),
    fixed=st.booleans(),
    normalize=st.booleans(),
)
def test_halves_of_any_song_sum_to_the_song(
    song_of, samples, segments, overlap, shifts, batch, fixed, normalize
):
    song = song_of(max(samples, 2))
    base = replace(SPEC, fixed=fixed, normalize=normalize)
    engine = engine_of(*(Halves(replace(base, segment=n), batch) for n in segments))
    shares: list[float] = []

    stems = whole(engine.stems(song, Passes(overlap, shifts, seed=1, on_progress=shares.append)))

    assert stems.dtype == np.float32
    assert stems.shape == (2, 2, song.samples)
    # With normalisation the mean is added back to each stem, as Demucs does.
    surplus = song.mean if normalize else 0
    assert np.allclose(stems.sum(axis=0) - surplus, song.audio, atol=1e-5)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_empty_song_gives_no_blocks(song_of):
    assert list(engine_of(Halves()).stems(song_of(0), Passes(shifts=2))) == []


@pytest.mark.parametrize("samples", [1, 2, 999, 1000, 1001])
def test_silence_stays_silence(song_from, samples):
    song = song_from(np.zeros((2, samples), np.float32))
    engine = engine_of(Halves(replace(SPEC, normalize=True)))

    stems = whole(engine.stems(song))

    assert stems.shape == (2, 2, samples)
    assert not stems.any()


def test_several_segments_run_as_one_batch(song_of):
    network = Halves(replace(SPEC, fixed=False), batch=4)

    list(engine_of(network).stems(song_of(7000), Passes(overlap=0)))

    assert network.sizes == [(4, 2, 1000), (3, 2, 1000)]


def test_pieces_of_different_lengths_run_apart(song_of):
    network = Halves(replace(SPEC, fixed=False), batch=4)

    list(engine_of(network).stems(song_of(1500), Passes(overlap=0)))

    assert network.sizes == [(1, 2, 1000), (1, 2, 500)]


def test_members_count_by_their_weights(song_of):
    song = song_of(3000)
    engine = engine_of(Halves(), Halves(scale=3.0), weights=[(1.0, 0.0), (1.0, 5.0)])

    stems = whole(engine.stems(song))

    assert np.allclose(stems[0], song.audio, atol=1e-6)  # (0.5 + 1.5) / 2
    assert np.allclose(stems[1], 1.5 * song.audio, atol=1e-6)


def test_the_same_seed_gives_the_same_shifts(song_of):
    class Late(Halves):
        """Adds a click at the start of each segment, so that the shift shows."""

        def start(self, prepared):
            prepared[..., 0] += 1
            return super().start(prepared)

    song = song_of(3000)
    first, again, other = (
        whole(engine_of(Late()).stems(song, Passes(shifts=2, seed=seed))) for seed in (3, 3, 4)
    )

    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_memory_does_not_grow_with_the_song(song_from):
    class EndlessSong:
        """Noise that is made when it is read, however long."""

        rate, mean, deviation = 44100, 0.0, 1.0

        def __init__(self, samples):
            self.samples = samples

        def read(self, start, count):
            return np.random.default_rng(start).standard_normal((2, count), dtype=np.float32)

    def peak(samples):
        tracemalloc.start()
        count = sum(
            block.shape[-1]
            for block in engine_of(
                Halves(replace(SPEC, segment=44100)), Halves(replace(SPEC, segment=30000))
            ).stems(EndlessSong(samples), Passes(shifts=2, seed=0))
        )
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == samples
        return top

    short, long = peak(10 * 44100), peak(80 * 44100)

    assert long < 1.3 * short


def test_closing_early_interrupts_the_network_and_ends_all_threads(song_of):
    network = Slow()
    stems = engine_of(network).stems(song_of(50_000))
    stopper = threading.Timer(0.2, network.interrupted.set)
    stopper.start()
    next(stems)
    stopper.join()

    stems.close()

    assert len(network.sizes) < 10


def test_a_cancellation_ends_the_work_promptly(song_of):
    network = Slow()
    asked_at = time.monotonic() + 0.2

    with pytest.raises(CancelledError):
        list(
            engine_of(network).stems(
                song_of(50_000), Passes(cancelled=lambda: time.monotonic() > asked_at)
            )
        )

    assert time.monotonic() - asked_at < 5
    assert len(network.sizes) == 1


def test_an_error_of_the_network_reaches_the_caller(song_of):
    class Broken(Halves):
        def start(self, prepared):
            if len(self.sizes) == 2:
                raise ModelError("broken")
            return super().start(prepared)

    stems = engine_of(Broken()).stems(song_of(20_000))

    with pytest.raises(ModelError, match="broken"):
        list(stems)


def test_an_error_of_the_network_is_never_taken_for_the_end(song_of):
    class Broken(Halves):
        def start(self, prepared):
            if len(self.sizes) == 2:
                raise ModelError("broken")
            return super().start(prepared)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)  # the stages' threads take turns often: each order is met
    try:
        for _ in range(30):
            with pytest.raises(ModelError, match="broken"):
                list(engine_of(Broken()).stems(song_of(20_000)))
    finally:
        sys.setswitchinterval(usual)


def test_an_error_of_the_song_reaches_the_caller(song_of):
    song = song_of(20_000)
    song.audio = song.audio[:, :10_000]  # the file behind it was cut off

    with pytest.raises(ValueError, match="broadcast"):
        list(engine_of(Halves()).stems(song))


def test_an_error_of_the_progress_callback_reaches_the_caller(song_of):
    def fail(_share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine_of(Halves()).stems(song_of(20_000), Passes(on_progress=fail)))


def test_values_that_are_no_numbers_are_an_error(song_of):
    with pytest.raises(ModelError, match="no numbers"):
        list(engine_of(Halves(scale=np.inf)).stems(song_of(3000)))


def test_segments_that_half_precision_cannot_compute_are_computed_in_fp32(song_of):
    class Overflowing(Halves):
        """Every second batch is too much for its precision."""

        precision: Precision = "fp16"

        def start(self, prepared):
            done = super().start(prepared)
            if len(self.sizes) % 2:
                done.result[0, 0, 0, 0] = np.nan
            return done

    song = song_of(20_000)
    engine = engine_of(Overflowing(batch=2))

    stems = whole(engine.stems(song))

    assert np.allclose(stems.sum(axis=0), song.audio, atol=1e-5)
    walked = len(range(0, song.samples, 750))
    assert abs(engine.fp32_segments - walked / 2) <= 1
    # And the count is that of the last song.
    list(engine.stems(song_of(0)))
    assert engine.fp32_segments == 0


def test_what_fp32_cannot_compute_either_is_an_error(song_of):
    class Broken(Halves):
        precision: Precision = "bf16"

        def exact(self):
            return Halves(self.spec, scale=np.nan)

    with pytest.raises(ModelError, match="no numbers"):
        list(engine_of(Broken(scale=np.nan)).stems(song_of(3000)))


def test_a_song_at_another_rate_is_refused(song_of):
    with pytest.raises(SettingError, match="48000"):
        engine_of(Halves()).stems(song_of(100, rate=48000))


def test_negative_shifts_are_refused(song_of):
    with pytest.raises(SettingError, match="-1"):
        engine_of(Halves()).stems(song_of(100), Passes(shifts=-1))


@pytest.mark.parametrize(
    ("specs", "weights"),
    [
        ([], []),
        ([SPEC, replace(SPEC, sources=("a", "c"))], [(1, 1), (1, 1)]),
        ([SPEC, replace(SPEC, samplerate=48000)], [(1, 1), (1, 1)]),
        ([SPEC], [(1, 1, 1)]),
        ([SPEC, SPEC], [(1, 0), (1, 0)]),
    ],
)
def test_members_that_do_not_fit_together_are_refused(specs, weights):
    with pytest.raises(ModelDamagedError):
        Engine([Member(Halves(s), w) for s, w in zip(specs, weights, strict=True)])


# Against demucs itself, with tiny networks of its own kinds and seeded random weights.


def tiny(kind, seed=0, **options):
    """A network of Demucs', with its description."""
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    module = pytest.importorskip(f"demucs.{kind.lower()}", reason="needs the extra `demucs`")
    torch.manual_seed(seed)
    defaults = {
        "HTDemucs": {"channels": 8, "nfft": 512, "depth": 3, "t_layers": 1, "t_heads": 2},
        "HDemucs": {"channels": 8, "nfft": 1024, "depth": 5},
        "Demucs": {"channels": 8, "depth": 3, "lstm_layers": 1},
    }[kind]
    chosen = {**defaults, "samplerate": 8000, "segment": 0.5, **options}
    return getattr(module, kind)(["a", "b"], **chosen).eval()


def member(module, precision="fp32"):
    from octet.separation.models.spec import ValidLengths
    from octet.separation.runtimes.torch import TorchNetwork

    waveform = type(module).__name__ == "Demucs"
    lengths = (
        ValidLengths(module.depth, module.kernel_size, module.stride, module.resample)
        if waveform
        else None
    )
    spec = ModelSpec(
        "tiny",
        ("a", "b"),
        module.samplerate,
        int(module.segment * module.samplerate),
        "waveform",  # the module does its transforms itself
        fixed=type(module).__name__ == "HTDemucs",
        valid_lengths=lengths,
    )
    return TorchNetwork(module, spec, precision=precision)


def assert_equals_demucs(song, modules, weights=None, **options):
    import torch
    from demucs.apply import BagOfModels, apply_model

    model = BagOfModels(modules, weights) if len(modules) > 1 else modules[0]
    audio = torch.from_numpy(song.audio)
    mono = audio.mean(0)
    scale = mono.std() + 1e-8
    settings = {"shifts": 0, "overlap": 0.25, **options}
    with pytest.MonkeyPatch.context() as patch:
        # Demucs' transformer draws from the common generator too: give the shifts their own.
        patch.setattr("demucs.apply.random", random.Random(5))
        expected = apply_model(model, ((audio - mono.mean()) / scale)[None], **settings)[0]
    restored = (expected * scale + mono.mean()).numpy()

    stems = whole(
        engine_of(*map(member, modules), weights=weights).stems(song, Passes(seed=5, **settings))
    )

    assert stems.shape == restored.shape
    assert np.linalg.norm(stems - restored) <= 1e-5 * np.linalg.norm(restored)


@pytest.mark.demucs
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("samples", [100, 4000, 4001, 9000])
@pytest.mark.parametrize("kind", ["HTDemucs", "HDemucs", "Demucs"])
def test_one_network_equals_apply_model(song_of, kind, samples):
    assert_equals_demucs(song_of(samples, rate=8000), [tiny(kind)])


@pytest.mark.demucs
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.6])
def test_other_overlaps_equal_apply_model(song_of, overlap):
    assert_equals_demucs(song_of(9000, rate=8000), [tiny("HTDemucs")], overlap=overlap)


@pytest.mark.demucs
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("samples", [100, 9000])
@pytest.mark.parametrize("kind", ["HTDemucs", "HDemucs"])
def test_shifts_equal_apply_model_with_the_same_offsets(song_of, kind, samples):
    assert_equals_demucs(song_of(samples, rate=8000), [tiny(kind)], shifts=2)


@pytest.mark.demucs
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["HTDemucs", "HDemucs", "Demucs"])
def test_half_precision_is_near_fp32(song_of, kind, precision):
    # Given the same network in fp32 and in half precision, as PyTorch computes it on GPUs,
    song = song_of(9000, rate=8000)
    module = tiny(kind)
    exact = whole(engine_of(member(module)).stems(song))

    rounded = whole(engine_of(member(module, precision)).stems(song))

    # then they differ, and by no more than 35 dB below the stems.
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 0 < error < 10 ** (-35 / 20)


@pytest.mark.demucs
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("shifts", [0, 2])
def test_a_bag_of_different_segments_equals_apply_model(song_of, shifts):
    modules = [
        tiny("HTDemucs", 1),
        tiny("HDemucs", 2, segment=1),
        tiny("Demucs", 3, resample=False),
    ]
    weights = [[1.0, 0.0], [0.5, 2.0], [0.0, 1.0]]

    assert_equals_demucs(song_of(9000, rate=8000), modules, weights, shifts=shifts)
