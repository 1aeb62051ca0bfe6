from __future__ import annotations

from dataclasses import replace

import pytest

from octet.errors import ModelDamagedError
from octet.separation.models.spec import ModelSpec, StftSpec, ValidLengths

STFT = StftSpec(n_fft=4096, hop=1024, padding="demucs", bins=2048)
SPEC = ModelSpec(
    name="tiny",
    sources=("drums", "bass", "other", "vocals"),
    samplerate=44100,
    segment=44100,
    kind="hybrid",
    stft=STFT,
    licence="CC0-1.0",
    origin="Größe ♪",
)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ()},
        {"sources": ("a", "a")},
        {"segment": 0},
        {"tail": 10},
        {"tail": -1},
        {"stft": replace(STFT, padding="center"), "kind": "spectral", "tail": 10**6},
        {"kind": "waveform"},
        {"kind": "guess"},
        {"overlap": 1.0},
        {"overlap": float("nan")},
        {"segment": 44100.5},
        {"segment": True},
        {"segment": 44100 * 3600},
        {"samplerate": 10**9},
        {"fixed": 1},
        {"name": "two\nlines"},
        {"licence": "\x1b[31mMIT"},
        {"origin": "x" * 5000},
        {"valid_lengths": None, "stft": None},
    ],
)
def test_a_description_that_makes_no_sense_is_refused(change):
    with pytest.raises(ModelDamagedError):
        replace(SPEC, **change)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "..",
            "a/b",
            "/tmp/a",
            "a\\b",
            "a.b",
            "lead vocals",
            "a\n",
            "\x1b[31m",
            "é",
            "x" * 41,
        ),
        *("original", "Full", "instrumental", "acapella", "rest", "Other"),
        *("drums", "Drums"),
        7,
    ],
)
def test_a_source_whose_name_cannot_be_a_files_is_refused(name):
    with pytest.raises(ModelDamagedError):
        replace(SPEC, sources=("drums", "bass", "other", "vocals", name))


@pytest.mark.parametrize(
    "change",
    [{"n_fft": 2**40}, {"n_fft": 4095}, {"hop": 0}, {"hop": 2.0}, {"bins": 4096}, {"padding": "x"}],
)
def test_a_transform_that_makes_no_sense_is_refused(change):
    with pytest.raises(ModelDamagedError):
        replace(STFT, **change)


@pytest.mark.parametrize("change", [{"depth": 99}, {"kernel": 0}, {"stride": 0}, {"stride": "4"}])
def test_lengths_that_make_no_sense_are_refused(change):
    with pytest.raises(ModelDamagedError):
        ValidLengths(**{"depth": 6, "kernel": 8, "stride": 4, "resample": True, **change})


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": 99}', '{"format": 1, "colour": "red"}', "[" * 100_000]
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
