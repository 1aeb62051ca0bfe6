from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.errors import ModelDamagedError
from octet.separation.cascade import Cascade
from octet.separation.model import ModelChoice, Passes
from octet.separation.models.cache import sha256_of, silent
from octet.separation.models.graph import BYTES, field, tag, text, varint
from octet.separation.models.loading import load
from octet.separation.models.mdxnet import graft
from octet.separation.models.mdxnet.note import Note
from tests.separation.models.mdxnet import files

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.cache import Cache

VOCALS = Note(n_fft=files.N_FFT, stem="vocals", hop=files.HOP)


def _vocals(folder, cache, song, overlap=None):
    model = load(ModelChoice(folder, precision="fp32", cache=cache.folder))
    (stem,) = np.concatenate(list(model.stems(song, Passes(overlap=overlap))), axis=-1)
    return stem


def test_the_vocals_of_a_segment_are_those_of_uvr(tmp_path, cache, song_of):
    # Given a song of one segment and a network of the vocals,
    song = song_of(files.SEGMENT)

    vocals = _vocals(files.folder(tmp_path / "own"), cache, song, overlap=0)

    # when it is separated, then the network's estimate and its compensation are the vocals.
    wanted = files.reference(song.audio, 1.25)
    assert np.abs(wanted).max() > 0.1
    assert np.abs(vocals - wanted).max() < 1e-5


def test_an_estimate_of_the_instrumental_is_taken_from_the_song(tmp_path, cache, song_of):
    # Given a song without what the network does not see,
    song = song_of(files.SEGMENT)
    hidden = np.fft.rfft(song.audio)
    size = hidden.shape[-1]
    hidden[:, : size * 5 // (files.N_FFT // 2)] = 0
    hidden[:, size * (files.BINS - 4) // (files.N_FFT // 2) :] = 0
    song.audio[:] = np.fft.irfft(hidden, files.SEGMENT)
    folder = files.folder(tmp_path / "own", files.NOTE.replace("vocals", "Instrumental"))

    vocals = _vocals(folder, cache, song, overlap=0)

    # when it is separated, then the vocals are the song minus the estimate; but at the ends,
    # where the transform's mirror leaks into what is hidden.
    wanted = song.audio - files.reference(song.audio, 1.25)
    inner = slice(files.N_FFT, -files.N_FFT)
    assert np.abs(vocals - wanted)[:, inner].max() < 1e-3
    assert np.abs(wanted)[:, inner].max() > 0.1


@pytest.mark.parametrize("samples", [1, 700, files.SEGMENT + 1, 5 * files.SEGMENT + 77])
def test_songs_of_any_length_keep_it_and_have_no_seams(tmp_path, cache, song_from, samples):
    # Given a tone, of which this network makes another with the same period,
    time = np.arange(samples) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 44_100 / files.HOP * 4 * time)
    song = song_from(np.stack([tone, -tone]).astype(np.float32))

    vocals = _vocals(files.folder(tmp_path / "own"), cache, song)

    # then every period within the song is like every other one, but for the little that the
    # mirrored edges of so short segments leave where they fade.
    assert vocals.shape == (2, samples)
    period = files.HOP // 4
    inner = vocals[:, files.N_FFT * 4 : -files.N_FFT * 4]
    if inner.shape[-1] > period:
        assert np.abs(inner).max() > 0.3
        assert np.abs(inner[:, period:] - inner[:, :-period]).max() < 0.015


def test_in_a_cascade_another_model_separates_the_rest(tmp_path, cache, song_of):
    folder = files.folder(tmp_path / "own")
    song = song_of(44_100)

    model = load(ModelChoice(f"{folder}+pocket", precision="fp32", cache=cache.folder))

    assert isinstance(model, Cascade)
    assert model.sources == ("vocals", "drums", "bass")
    stems = np.concatenate(list(model.stems(song)), axis=-1)
    alone = _vocals(folder, cache, song)
    assert np.abs(stems[0] - alone).max() < 1e-6


def test_the_copy_is_made_once_for_each_way_to_hear_the_file(tmp_path, cache):
    path = files.write(tmp_path / "a.onnx")
    wide = Note(n_fft=2 * files.N_FFT, stem="vocals", hop=files.HOP, name="wide", licence="MIT")

    first, spec = graft.obtain(path, VOCALS, cache, "0" * 64, silent)
    made = first.stat().st_mtime_ns
    again, _ = graft.obtain(path, VOCALS, cache, "0" * 64, silent)
    other, named = graft.obtain(path, wide, cache, "0" * 64, silent)

    assert (again, again.stat().st_mtime_ns) == (first, made)
    assert other != first
    assert (spec.name, named.name, named.licence) == ("a", "wide", "MIT")
    # And one that was damaged since is made again.
    first.write_bytes(b"damaged")
    graft.obtain(path, VOCALS, cache, "0" * 64, silent)
    assert first.stat().st_size > 1000


def test_a_note_may_lie_beside_the_file_that_is_named(tmp_path, cache, song_of):
    path = files.folder(tmp_path / "own", files.NOTE + "licence: MIT\n") / "Tiny_MDX.onnx"

    model = load(ModelChoice(path, policy="commercial", cache=cache.folder))

    assert (model.identity.name, model.identity.licence) == ("Tiny_MDX", "MIT")
    assert model.identity.sha256 == sha256_of(path)


def test_the_onnx_package_finds_no_fault_with_the_copy(tmp_path, cache):
    onnx = pytest.importorskip("onnx", reason="needs the extra `demucs`")
    note = Note(n_fft=files.N_FFT, stem="instrumental", hop=files.HOP)

    copy, _ = graft.obtain(files.write(tmp_path / "a.onnx"), note, cache, "0" * 64, silent)

    model = onnx.load(copy)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.node[0].op_type == "Mul"


def test_sizes_that_the_file_leaves_open_are_the_notes(tmp_path, cache):
    onnx = pytest.importorskip("onnx", reason="needs the extra `demucs`")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    ports = [
        helper.make_tensor_value_info(name, float32, ["batch", 4, files.BINS, "frames"])
        for name in ("input", "output")
    ]
    # As files of early versions do, it lists its constants among its inputs.
    listed = helper.make_tensor_value_info("two", float32, [1])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["input", "two"], ["output"])],
        "open",
        [ports[0], listed],
        [ports[1]],
        [helper.make_tensor("two", float32, [1], [2.0])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)]), tmp_path / "a")

    note = Note(n_fft=files.N_FFT, stem="vocals", hop=files.HOP, frames=40)
    _, spec = graft.obtain(tmp_path / "a", note, cache, "0" * 64, silent)

    assert spec.segment == 39 * files.HOP
    assert spec.stft is not None
    assert spec.stft.bins == files.BINS


@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_of_other_shapes_is_refused(tmp_path, cache, channels):
    path = files.write(tmp_path / "a.onnx", channels=channels)

    with pytest.raises(ModelDamagedError, match="takes"):
        graft.obtain(path, VOCALS, cache, "0" * 64, silent)
    assert not list((cache.folder / "converted").glob("[!.]*"))


def _graph(*fields: bytes) -> bytes:
    return field(7, b"".join(fields))


_PORTS = field(11, text(1, "x")) + field(12, text(1, "y"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "ONNX"),
        (text(2, "somebody"), "no network"),
        (_graph(_PORTS) + _graph(_PORTS), "no network"),
        (_graph(_PORTS, field(11, text(1, "z"))), "takes 2 arrays"),
        (_graph(field(11, text(1, "x"))), "gives 0"),
        (_graph(_PORTS, field(5, text(8, "w") + field(13, text(1, "location")))), "another file"),
        (_graph(_PORTS, tag(1, BYTES) + varint(2**40)), "cut off"),
        (_graph(_PORTS, b"\x0a\x00" * 300_000), "more parts"),
        (_graph(_PORTS, field(5, b"\x0a\x00" * 300_000)), "more parts"),
    ],
)
def test_a_file_that_lies_is_refused(tmp_path: Path, cache: Cache, content, why) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelDamagedError, match=why):
        graft.obtain(path, VOCALS, cache, "0" * 64, silent)


@settings(max_examples=60)
@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_a_model_or_refused(tmp_path_factory, at, junk):
    path = files.write(tmp_path_factory.mktemp("any") / "a.onnx")
    data = bytearray(path.read_bytes())
    data[at : at + len(junk)] = junk
    path.write_bytes(data)

    try:
        spec = graft.graft(path, VOCALS, path.with_suffix(".copy"))
    except ModelDamagedError:
        return
    assert spec.kind == "spectral"
