# The helpers of these tests carry no annotations.
from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import openvino
import pytest

from octet.errors import CancelledError, DeviceError, ModelDamagedError
from octet.separation.engine import Engine, Member
from octet.separation.model import Passes
from octet.separation.models.onnx import write_spec
from octet.separation.models.spec import ModelSpec, StftSpec
from octet.separation.runtimes.network import infer
from octet.separation.runtimes.openvino import (
    OpenVinoNetwork,
    cpu_name,
    cpu_precision,
)

STFT = StftSpec(n_fft=512, hop=128, padding="center", bins=257)
SPECS = {
    "waveform": ModelSpec("w", ("a", "b"), 44100, 4000, "waveform", fixed=False),
    "spectral": ModelSpec("s", ("a", "b"), 44100, 4000, "spectral", STFT, fixed=False),
    "hybrid": ModelSpec("h", ("a", "b"), 44100, 4000, "hybrid", STFT, fixed=False),
}


def write_model(path, spec, rounds=0, squares=0):
    """An ONNX model whose stems are a quarter and three quarters of the mix.

    The hybrid one takes half of each from the spectrum and half from the waveform. The mix
    is multiplied `rounds` times by a unit matrix, then by a matrix of its own that is
    squared `squares` times, which takes long.
    """
    onnx = pytest.importorskip("onnx", reason="needs the extra `demucs`")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    spec_shape, mix_shape = ["b", 4, STFT.bins, "t"], ["b", 2, "n"]
    inputs, outputs, nodes, constants = [], [], [], []
    scale = 0.5 if spec.kind == "hybrid" else 1.0

    def constant(name, array):
        constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    constant("axis", np.array([1], np.int64))
    for given, gave, shape in (("spec", "spec_out", spec_shape), ("mix", "wave", mix_shape)):
        if spec.kind == {"spec": "waveform", "mix": "spectral"}[given]:
            continue
        stems_shape = [shape[0], 2, *shape[1:]]
        inputs.append(helper.make_tensor_value_info(given, floats, shape))
        outputs.append(helper.make_tensor_value_info(gave, floats, stems_shape))
        shares = scale * np.array([0.25, 0.75]).reshape([1, 2] + [1] * (len(shape) - 1))
        source = given
        if given == "mix" and rounds:
            matrix = constant("matrix", np.eye(spec.segment, dtype=np.float32))
            for index in range(rounds):
                nodes.append(helper.make_node("MatMul", [source, matrix], [f"m{index}"]))
                source = f"m{index}"
        if given == "mix" and squares:
            nodes.append(helper.make_node("Transpose", ["mix"], ["mix_t"], perm=[0, 2, 1]))
            nodes.append(helper.make_node("MatMul", ["mix_t", "mix"], ["s0"]))
            for index in range(squares):
                last = f"s{index}"
                nodes.append(helper.make_node("MatMul", [last, last], [f"s{index + 1}"]))
            nodes.append(helper.make_node("MatMul", [source, f"s{squares}"], ["squared"]))
            source = "squared"
        nodes.append(helper.make_node("Unsqueeze", [source, "axis"], [f"{given}_1"]))
        constant(f"{given}_share", shares.astype(np.float32))
        nodes.append(helper.make_node("Mul", [f"{given}_1", f"{given}_share"], [gave]))
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, path)
    write_spec(path, spec)
    return path


def network_of(folder, spec, precision="fp32", *, name="m.onnx", **made):
    """A network of `write_model`, loaded."""
    path = write_model(folder / name, spec, **made)
    return OpenVinoNetwork(path, spec, precision, threads=2)


def engine_of(*networks, weights=((1.0, 1.0),)):
    return Engine([Member(n, w) for n, w in zip(networks, weights, strict=True)])


def noise(length):
    return np.random.default_rng(0).standard_normal((1, 2, length)).astype(np.float32)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("length", [4000, 1234])
def test_a_network_of_each_kind_runs_at_any_length(tmp_path, kind, length):
    network = network_of(tmp_path, SPECS[kind])
    mix = noise(length)

    stems = infer(network, mix)

    assert stems.dtype == np.float32
    assert stems.shape == (1, 2, 2, length)
    assert np.allclose(stems[:, 0], 0.25 * mix, atol=1e-5)
    assert np.allclose(stems[:, 1], 0.75 * mix, atol=1e-5)


@pytest.mark.parametrize("kind", SPECS)
def test_a_song_goes_through_whole(tmp_path, song_of, kind):
    engine = engine_of(network_of(tmp_path, SPECS[kind]))
    song = song_of(15_000)

    stems = np.concatenate(list(engine.stems(song)), axis=-1)

    assert np.allclose(stems.sum(axis=0) - song.mean, song.audio, atol=1e-5)


def test_results_under_way_at_once_do_not_mix(tmp_path):
    network = network_of(tmp_path, SPECS["hybrid"])
    mixes = [noise(4000) * factor for factor in (1, 2, 3)]

    running = [network.start(network.prepare(mix)) for mix in mixes]

    for mix, one in zip(mixes, running, strict=True):
        assert np.allclose(one.stems().sum(axis=1), mix, atol=1e-4)


def test_a_bag_is_averaged(tmp_path, song_of):
    networks = [network_of(tmp_path, SPECS["waveform"], name=f"{n}.onnx") for n in range(2)]
    song = song_of(9000)

    engine = engine_of(*networks, weights=[(1, 0), (0, 1)])

    stems = np.concatenate(list(engine.stems(song)), axis=-1)
    assert np.allclose(stems.sum(axis=0) - song.mean, song.audio, atol=1e-5)


def test_the_end_of_a_song_is_compiled_when_it_is_prepared(tmp_path):
    # Given a network that prepared a segment of another length than its own,
    network = network_of(tmp_path, SPECS["hybrid"])
    prepared = network.prepare(noise(1234))
    (tmp_path / "m.onnx").unlink()

    # when it starts, then nothing is left to compile: that went on beside earlier segments.
    stems = network.start(prepared).stems()
    assert np.allclose(stems.sum(axis=1), noise(1234), atol=1e-4)
    assert network.prepare(noise(4000)).compiled is network.prepare(noise(4000)).compiled


def test_a_cancellation_stops_the_network_in_its_work(tmp_path, song_of):
    spec = replace(SPECS["waveform"], segment=600, fixed=True)
    engine = engine_of(network_of(tmp_path, spec, squares=1500))  # 10 s a segment at least
    before = set(threading.enumerate())
    asked_at = time.monotonic() + 0.3

    with pytest.raises(CancelledError):
        list(engine.stems(song_of(200_000), Passes(cancelled=lambda: time.monotonic() > asked_at)))

    assert time.monotonic() - asked_at < 8
    assert set(threading.enumerate()) <= before


def test_what_is_left_early_is_not_under_way_any_more(tmp_path, song_of):
    # Given a song that is separated, two segments at once,
    network = network_of(tmp_path, SPECS["waveform"], rounds=30)
    stems = engine_of(network).stems(song_of(200_000))
    next(stems)

    # when whoever takes the stems leaves,
    stems.close()

    # then no request runs that could write to memory or end the process later.
    assert not network.running


def test_the_same_network_in_fp32_is_interrupted_with_it(tmp_path):
    network = network_of(tmp_path, SPECS["waveform"])
    exact = network.exact()

    assert exact is network.exact()
    assert (exact.precision, exact.spec) == ("fp32", network.spec)
    assert np.allclose(infer(exact, noise(4000)), infer(network, noise(4000)), atol=1e-5)
    exact.start(exact.prepare(noise(4000)))
    network.drain()
    assert not exact.running


def test_the_engine_works_again_after_a_cancellation(tmp_path, song_of):
    engine = engine_of(network_of(tmp_path, SPECS["hybrid"]))
    song = song_of(50_000)
    with pytest.raises(CancelledError):
        list(engine.stems(song, Passes(cancelled=lambda: True)))

    stems = np.concatenate(list(engine.stems(song)), axis=-1)

    assert np.allclose(stems.sum(axis=0) - song.mean, song.audio, atol=1e-5)


def test_a_description_that_does_not_fit_the_network_is_refused(tmp_path):
    path = write_model(tmp_path / "m.onnx", SPECS["spectral"])

    with pytest.raises(ModelDamagedError, match=r"m\.onnx"):
        OpenVinoNetwork(path, SPECS["waveform"])


@pytest.mark.parametrize("kind", SPECS)
def test_a_network_of_other_stems_than_described_is_refused(tmp_path, kind):
    path = write_model(tmp_path / "m.onnx", SPECS[kind])

    with pytest.raises(ModelDamagedError, match="not what its description says"):
        OpenVinoNetwork(path, replace(SPECS[kind], sources=("a", "b", "c")))


def test_what_openvino_cannot_read_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")

    with pytest.raises(ModelDamagedError, match=r"m\.onnx"):
        OpenVinoNetwork(path, SPECS["waveform"])


def processor_has(name):
    return name in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_the_precision_is_bf16_where_the_processor_has_it():
    precision, reason = cpu_precision("auto")

    assert precision == ("bf16" if processor_has("BF16") else "fp32")
    assert "bf16" in reason


def test_fp32_is_always_to_be_had():
    assert cpu_precision("fp32")[0] == "fp32"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_that_the_processor_lacks_is_refused(precision):
    if processor_has(precision.upper()):
        pytest.skip(f"this processor has {precision}")

    with pytest.raises(DeviceError, match=precision):
        cpu_precision(precision)


def test_bf16_is_near_fp32(tmp_path):
    if not processor_has("BF16"):
        pytest.skip("this processor has no bf16")
    path = write_model(tmp_path / "m.onnx", SPECS["hybrid"], rounds=2)
    mix = noise(4000)
    exact, rounded = (
        infer(OpenVinoNetwork(path, SPECS["hybrid"], p), mix) for p in ("fp32", "bf16")
    )

    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)

    assert 0 < error < 10 ** (-35 / 20)


def test_the_processor_has_a_name():
    assert cpu_name()
