from __future__ import annotations

import platform
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("onnxscript", reason="needs the extra `models`")

from octet.errors import (  # noqa: E402 - after the skip
    UntrustedModelError,
)
from octet.separation.model import ModelChoice, Passes  # noqa: E402 - after the skip
from octet.separation.models.frameworks import bands  # noqa: E402 - after the skip
from octet.separation.models.loading import load, runtimes_of  # noqa: E402 - after the skip
from octet.separation.models.resolve import resolve  # noqa: E402 - after the skip
from tests.separation.models.frameworks import roformer_files as files  # noqa: E402 - after the skip
from tests.separation.models.frameworks.roformer_reference import separate  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

APART = bands.side_by_side([1, 4, 12, 16], files.N_FFT)
OVERLAPPING = bands.mel(4, files.N_FFT, 44_100)


def _wanted(text: str, made: bands.Bands, mix: np.ndarray) -> np.ndarray:
    places = np.cumsum([0, *made.widths])
    members = [made.seen[a:b] for a, b in pairwise(places)]
    stems = separate(
        files.state(text),
        torch.from_numpy(mix),
        members,
        heads=2,
        n_fft=files.N_FFT,
        hop=files.HOP,
    )
    return np.asarray(stems)


def _stems(model: Any, song: Any, overlap: float | None = 0) -> np.ndarray:
    return np.concatenate(list(model.stems(song, Passes(overlap=overlap))), axis=-1)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the two kinds are converted once for all tests."""
    place = tmp_path_factory.mktemp("roformers")
    files.folder(place / "bs", files.BS)
    files.folder(place / "mel", files.MEL)
    return place


def _load(place: Path, name: str) -> Any:
    return load(ModelChoice(place / name, "cpu", "fp32", cache=place / "cache"))


@pytest.mark.parametrize(
    ("name", "text", "made"),
    [("bs", files.BS, APART), ("mel", files.MEL, OVERLAPPING)],
    ids=["bs", "mel"],
)
def test_a_song_of_one_segment_is_separated_as_the_papers_have_it(
    places: Path, song_of: Any, name: str, text: str, made: bands.Bands
) -> None:
    model, song = _load(places, name), song_of(files.SEGMENT)

    stems = _stems(model, song)

    wanted = _wanted(text, made, song.audio)
    assert model.loaded_from.startswith("converted, ")
    assert np.abs(wanted).max() > 0.01
    assert np.linalg.norm(stems - wanted) < 1e-5 * np.linalg.norm(wanted)


def test_the_network_of_a_gpu_gives_the_same(places: Path, song_of: Any) -> None:
    song = song_of(files.SEGMENT)
    choice = ModelChoice(places / "mel", cache=places / "cache")

    (member,) = resolve(choice, "torch").members

    with torch.inference_mode():
        stems = member.network(torch.from_numpy(song.audio[None]))[0].numpy()
    wanted = _wanted(files.MEL, OVERLAPPING, song.audio)
    assert np.linalg.norm(stems - wanted) < 1e-5 * np.linalg.norm(wanted)
    assert runtimes_of(places / "mel") == ("openvino", "torch")


@pytest.mark.parametrize("samples", [1, 700, files.SEGMENT + 1, 5 * files.SEGMENT + 77])
def test_songs_of_any_length_keep_it(places: Path, song_of: Any, samples: int) -> None:
    stems = _stems(_load(places, "bs"), song_of(samples), None)

    assert stems.shape == (2, 2, samples)
    assert np.isfinite(stems).all()


def test_a_song_of_40_seconds_has_no_seams(places: Path, song_from: Any) -> None:
    # Given a tone, which is as smooth everywhere,
    time = np.arange(40 * 44_100) / 44_100
    song = song_from(np.stack([np.sin(400 * time), np.cos(300 * time)]).astype(np.float32) * 0.5)

    stems = _stems(_load(places, "bs"), song, None)

    # then its stems change no more where a segment begins or ends than elsewhere.
    assert stems.shape == (2, 2, 40 * 44_100)
    steps = np.abs(np.diff(stems, axis=-1)).max(axis=(0, 1))
    stride = files.SEGMENT * 3 // 4
    seams = [at + side for at in range(stride, steps.size, stride) for side in (-1, 0)]
    seams += range(files.SEGMENT - 1, steps.size, stride)
    assert np.abs(stems).max() > 0.1
    assert steps[seams].max() <= np.quantile(steps, 0.999)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="as OpenVINO does there")
@pytest.mark.parametrize("name", ["bs", "mel"])
def test_attention_is_computed_in_one_go(places: Path, name: str) -> None:
    # Given a converted network, compiled for this processor with counters,
    ov = pytest.importorskip("openvino")
    (member,) = resolve(ModelChoice(places / name, cache=places / "cache")).members
    compiled = ov.Core().compile_model(
        str(member.path), "CPU", {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    )
    request = compiled.create_infer_request()

    request.infer([np.ones(compiled.input(0).shape, np.float32)])

    # then no table of all pairs of frames is ever written for a softmax to read again.
    ran = [one for one in request.get_profiling_info() if one.status == one.Status.EXECUTED]
    assert ran
    assert "Softmax" not in {one.node_type for one in ran}
    assert sum("scaled_dot_product" in one.node_name for one in ran) == 2


def test_an_estimate_of_the_rest_is_taken_from_the_song(
    tmp_path: Path, places: Path, song_of: Any
) -> None:
    # Given the same weights with a file that says they estimate what is not vocals,
    text = files.MEL.replace("target_instrument: vocals", "target_instrument: other")
    place = files.folder(tmp_path / "rest", text)
    song = song_of(files.SEGMENT)

    model = load(ModelChoice(place, "cpu", "fp32", cache=tmp_path / "cache"))

    # then the vocals are what that leaves of the song.
    assert model.sources == ("vocals",)
    whole = _stems(model, song) + _stems(_load(places, "mel"), song)
    assert np.abs(whole[0] - song.audio).max() < 1e-5


def test_pickles_need_trust_and_are_then_converted_once(tmp_path: Path, song_of: Any) -> None:
    place = files.folder(tmp_path / "pickled", files.BS, pickled=True)
    choice = ModelChoice(place, "cpu", "fp32", cache=tmp_path / "cache")

    with pytest.raises(UntrustedModelError, match="--trust-checkpoint"):
        load(choice)
    assert not list((tmp_path / "cache").rglob("*.onnx"))

    trusting = ModelChoice(place, "cpu", "fp32", cache=tmp_path / "cache", trust_checkpoint=True)
    (first,) = resolve(trusting).members
    # What is converted needs no trust any more: nothing of the pickle is read.
    (again,) = resolve(choice).members
    assert first.path == again.path
