from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octet.errors import ModelDamagedError, UnknownModelError
from octet.separation.models.spec import (
    ModelSpec,
    StftSpec,
    ValidLengths,
    read_spec,
    write_spec,
)

SPEC = ModelSpec(
    name="tiny",
    sources=("drums", "bass", "other", "vocals"),
    samplerate=44100,
    segment=44100,
    kind="hybrid",
    stft=StftSpec(n_fft=4096, hop=1024, padding="demucs", bins=2048),
    licence="CC0-1.0",
    origin="Größe ♪",
)


@pytest.fixture
def onnx_file(tmp_path):
    """A real ONNX model of one node, without Octet's metadata."""
    onnx = pytest.importorskip("onnx", reason="needs the extra `demucs`")
    helper = onnx.helper
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2, "n"])
        for name in ("mix", "wave")
    ]
    node = helper.make_node("Identity", ["mix"], ["wave"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    model = helper.make_model(graph)
    helper.set_model_props(model, {"other": "property"})
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def test_a_description_written_to_a_model_is_read_back(onnx_file):
    write_spec(onnx_file, SPEC)

    assert read_spec(onnx_file) == SPEC


def test_the_onnx_package_reads_the_same_description(onnx_file):
    import onnx

    write_spec(onnx_file, SPEC)

    model = onnx.load(onnx_file)
    onnx.checker.check_model(model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["other"] == "property"
    assert ModelSpec.from_json(properties["octet"]) == SPEC


def test_a_description_written_twice_counts_as_written_last(onnx_file):
    write_spec(onnx_file, SPEC)
    write_spec(onnx_file, replace(SPEC, name="second"))

    assert read_spec(onnx_file).name == "second"


def test_a_waveform_model_keeps_its_valid_lengths(onnx_file):
    spec = replace(
        SPEC,
        kind="waveform",
        stft=None,
        fixed=False,
        valid_lengths=ValidLengths(depth=6, kernel=8, stride=4, resample=True),
    )

    write_spec(onnx_file, spec)

    assert read_spec(onnx_file) == spec


def test_an_onnx_file_without_description_is_refused(onnx_file):
    with pytest.raises(ModelDamagedError, match="does not say what it is"):
        read_spec(onnx_file)


def test_a_model_cut_off_is_refused(onnx_file):
    write_spec(onnx_file, SPEC)
    data = onnx_file.read_bytes()

    onnx_file.write_bytes(data[:-10])

    with pytest.raises(ModelDamagedError, match="cut off"):
        read_spec(onnx_file)


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00", b"<html>not found</html>"])
def test_what_is_no_onnx_file_is_refused(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    with pytest.raises(ModelDamagedError, match=r"model\.onnx"):
        read_spec(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_our_own_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "model.onnx"
    path.write_bytes(data)

    with pytest.raises(ModelDamagedError):
        read_spec(path)


def test_a_missing_file_is_an_unknown_model(tmp_path):
    with pytest.raises(UnknownModelError, match=r"missing\.onnx"):
        read_spec(tmp_path / "missing.onnx")


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(UnknownModelError, match="cannot be read"):
        read_spec(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ()},
        {"sources": ("a", "a")},
        {"segment": 0},
        {"kind": "waveform"},
        {"kind": "guess"},
        {"overlap": 1.0},
    ],
)
def test_a_description_that_makes_no_sense_is_refused(change):
    with pytest.raises(ModelDamagedError):
        replace(SPEC, **change)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": 99}', '{"format": 1, "colour": "red"}']
)
def test_a_description_of_another_shape_is_refused(text):
    with pytest.raises(ModelDamagedError):
        ModelSpec.from_json(text)


def test_lengths_follow_the_kind_of_model():
    assert SPEC.valid_length(1000) == SPEC.segment
    assert replace(SPEC, fixed=False).valid_length(1000) == 1000


@pytest.mark.demucs
@pytest.mark.parametrize("resample", [True, False])
def test_valid_lengths_are_those_of_demucs(resample):
    demucs = pytest.importorskip("demucs.demucs")
    network = demucs.Demucs(["a"], channels=4, depth=3, resample=resample, lstm_layers=0)
    ours = ValidLengths(depth=3, kernel=8, stride=4, resample=resample)

    for length in (1, 2, 63, 64, 65, 1000, 44100, 44101):
        assert ours.at_least(length) == network.valid_length(length)
