from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octet.errors import ModelDamagedError, UnknownModelError
from octet.separation.models.graph import BYTES, tag, varint
from octet.separation.models.onnx import (
    _KEY,
    _METADATA_PROPS,
    _VALUE,
    MAX_TEXT,
    read_spec,
    write_spec,
)
from octet.separation.models.spec import ModelSpec, ValidLengths
from tests.separation.models.test_spec import SPEC


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

    assert read_spec(onnx_file) == replace(SPEC, name="second")


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


def test_an_onnx_file_without_description_says_nothing(onnx_file):
    assert read_spec(onnx_file) is None


@pytest.mark.parametrize("length", [2**40, 2**31, 100])
def test_a_length_that_lies_is_refused(onnx_file, length):
    # Given a description whose key claims to be longer than the description,
    key = tag(_KEY, BYTES) + varint(length) + b"x"
    with onnx_file.open("ab") as file:
        file.write(tag(_METADATA_PROPS, BYTES) + varint(len(key)) + key)

    with pytest.raises(ModelDamagedError, match="not a whole ONNX file"):
        read_spec(onnx_file)


def test_long_properties_of_other_programs_are_skipped(onnx_file):
    value = b"x" * (MAX_TEXT * 3)
    entry = tag(_KEY, BYTES) + varint(1) + b"k"
    entry += tag(_VALUE, BYTES) + varint(len(value)) + value
    write_spec(onnx_file, SPEC)
    with onnx_file.open("ab") as file:
        file.write(tag(_METADATA_PROPS, BYTES) + varint(len(entry)) + entry)

    assert read_spec(onnx_file) == SPEC


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
def test_any_bytes_have_no_description_or_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "model.onnx"
    path.write_bytes(data)

    with contextlib.suppress(ModelDamagedError):
        assert read_spec(path) is None


def test_a_missing_file_is_an_unknown_model(tmp_path):
    with pytest.raises(UnknownModelError, match=r"missing\.onnx"):
        read_spec(tmp_path / "missing.onnx")


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(UnknownModelError, match="cannot be read"):
        read_spec(tmp_path)
