"""SCNet from a folder to its stems, against the network worked out anew (`files.reference`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="needs the extra `models`: pip install torch")

from octet.errors import ModelDamagedError, ModelError  # noqa: E402  # needs torch
from octet.separation.model import ONCE, ModelChoice, Passes  # noqa: E402
from octet.separation.models.frameworks.config import Config  # noqa: E402
from octet.separation.models.frameworks.scnet import build  # noqa: E402
from octet.separation.models.loading import load  # noqa: E402
from octet.separation.models.spec import About  # noqa: E402
from tests.separation.models.frameworks.files import (  # noqa: E402
    SEGMENT,
    content,
    folder,
    network,
    reference,
)

if TYPE_CHECKING:
    from octet.separation.cascade import Cascade
    from octet.separation.models.loading import LoadedModel

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    return dict(network().state_dict())


@pytest.fixture(scope="module")
def model(state: Any, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel | Cascade:
    place = tmp_path_factory.mktemp("scnet")
    choice = ModelChoice(folder(place / "tiny", state), "cpu", "fp32", cache=place / "cache")
    return load(choice)


def _stems(model: Any, song: Any, passes: Passes = ONCE) -> np.ndarray:
    return np.concatenate(list(model.stems(song, passes)), axis=-1)


def test_a_song_of_one_segment_equals_the_network_worked_out_anew(
    model: Any, state: Any, song_of: Any
) -> None:
    song = song_of(SEGMENT)

    expected = reference(state, torch.from_numpy(song.audio)).numpy()

    actual = _stems(model, song, Passes(overlap=0))
    assert actual.shape == expected.shape
    assert np.linalg.norm(actual - expected) < 1e-5 * np.linalg.norm(expected)
    assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize("samples", [1, SEGMENT // 3, 4 * SEGMENT + 123])
def test_a_song_of_any_length_keeps_it_and_has_no_seams(
    model: Any, song_of: Any, samples: int
) -> None:
    song = song_of(samples)

    stems = _stems(model, song)

    assert stems.shape == (4, 2, samples)
    assert np.isfinite(stems).all()
    # No sample is further from the one before than within a single segment.
    whole = _stems(model, song_of(SEGMENT))
    steps = np.abs(np.diff(stems)).max(initial=0)
    assert steps <= 1.5 * np.abs(np.diff(whole)).max()


def test_it_estimates_as_many_stems_as_are_named(state: Any) -> None:
    described = content()
    described["training"] |= {"instruments": ["vocals", "other"], "target_instrument": "vocals"}

    made, spec = build(Config.read("a.yaml", described), About("a"))

    assert spec.sources == ("vocals",)
    assert made.state_dict()["decoder.1.1.convtrs.0.weight"].shape[1] == 4


@pytest.mark.parametrize(
    "numbers",
    [
        {"dims": [4]},
        {"dims": [8, 16]},
        {"dims": [4, 2000]},
        {"dims": "4, 8"},
        {"dims": [4, 8.5]},
        {"band_SR": [0.5, 0.5]},
        {"band_SR": [0.9, 0.9, 0.1]},
        {"band_SR": [float("nan"), 0.5, 0.5]},
        {"band_SR": [1.0, 0.0005, 0.0005]},
        {"band_stride": [1, 4, 17]},
        {"band_stride": [0, 4, 16]},
        {"conv_depths": [3, 2, 1_000_000]},
        {"num_dplayer": 3},
        {"num_dplayer": 1_000_000},
        {"expand": 10**9},
        {"nfft": 255, "win_size": 255},
        {"nfft": 10**12},
        {"win_size": 128},
        {"hop_size": 200},
        {"audio_channels": 1},
        {"normalized": "yes"},
        {"compress": 64},
    ],
)
def test_numbers_that_cannot_be_are_refused_before_memory_is_taken(numbers: dict[str, Any]) -> None:
    config = Config.read("a.yaml", content(**numbers))

    with torch.device("meta"), pytest.raises(ModelDamagedError):
        build(config, About("a"))


def test_an_argument_that_is_not_known_is_no_matter_to_pass_over() -> None:
    with pytest.raises(ModelError, match="sparsity"):
        build(Config.read("a.yaml", content(sparsity=2)), About("a"))
