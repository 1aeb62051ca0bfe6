from __future__ import annotations

from dataclasses import replace

import pytest

from octet.errors import ModelDamagedError
from octet.separation.models.spec import ModelSpec, StftSpec, ValidLengths

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
