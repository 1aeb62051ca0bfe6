from __future__ import annotations

from typing import Any

import pytest

from octet.errors import ModelDamagedError, ModelError
from octet.separation.models.frameworks.config import MAX_SECONDS, Config
from octet.separation.models.spec import About, StftSpec

STFT = StftSpec(64, 16, "center", 33)


def _content(**parts: Any) -> dict[str, Any]:
    return {
        "audio": {"chunk_size": 485_100, "sample_rate": 44_100, "num_channels": 2},
        "model": {"size": 3},
        "training": {"instruments": ["drums", "Vocals"], "target_instrument": None},
        "inference": {"num_overlap": 4},
    } | parts


def test_a_file_tells_segment_stems_and_scaling() -> None:
    config = Config.read("a.yaml", _content(inference={"normalize": True}, licence="MIT"))

    spec = config.describe(About("mine", "MIT", "a test"), STFT, tail=4)
    assert (spec.segment, spec.samplerate, spec.tail) == (485_100, 44_100, 4)
    assert spec.sources == ("drums", "vocals")
    assert spec.normalize
    assert (spec.kind, spec.name, spec.licence) == ("spectral", "mine", "MIT")
    assert config.licence == "MIT"


def test_the_length_that_is_set_for_use_goes_before_that_of_the_training() -> None:
    assert Config.read("a.yaml", _content(inference={"chunk_size": 1000})).segment == 1000


@pytest.mark.parametrize(
    ("instruments", "target", "sources", "complement"),
    [
        (["vocals", "other"], "vocals", ("vocals",), False),
        (["vocals", "other"], "other", ("vocals",), True),
        (["Vocals", "Instrumental"], "Instrumental", ("vocals",), True),
        (["vocals", "instrumental"], None, ("vocals", "accompaniment"), False),
        (["drums", "bass", "other", "vocals"], "other", ("other",), False),
        (["drums", "bass", "other", "vocals"], "", ("drums", "bass", "other", "vocals"), False),
    ],
)
def test_what_the_network_estimates_becomes_the_models_stems(
    instruments: list[str], target: str | None, sources: tuple[str, ...], complement: bool
) -> None:
    training = {"instruments": instruments, "target_instrument": target}

    config = Config.read("a.yaml", _content(training=training))

    assert (config.sources, config.complement) == (sources, complement)


def test_all_that_matters_is_in_the_key() -> None:
    base = _content()
    others = [
        _content(audio={"chunk_size": 1000}),
        _content(model={"size": 4}),
        _content(inference={"normalize": True}),
        _content(training={"instruments": ["vocals", "drums"]}),
        _content(training={"instruments": ["vocals", "other"], "target_instrument": "other"}),
        _content(training={"instruments": ["vocals", "other"], "target_instrument": "vocals"}),
    ]

    keys = [Config.read("a.yaml", one).key for one in (base, *others)]

    assert len(set(keys)) == len(keys)
    assert Config.read("b.yaml", _content(licence="MIT")).key == keys[0]


@pytest.mark.parametrize(
    "parts",
    [
        {"audio": []},
        {"model": None},
        {"model": {1: 2}},
        {"training": "x"},
        {"audio": {"chunk_size": 0}},
        {"audio": {"chunk_size": MAX_SECONDS * 44_100 + 1}},
        {"audio": {"chunk_size": True}},
        {"audio": {"chunk_size": 1000.0}},
        {"audio": {}},
        {"audio": {"chunk_size": 1000, "num_channels": 1}},
        {"audio": {"chunk_size": 1000, "sample_rate": 10**9}},
        {"inference": {"normalize": "no"}},
        {"training": {"instruments": None}},
        {"training": {"instruments": "vocals"}},
        {"training": {"instruments": [["vocals"]]}},
        {"training": {"instruments": ["vocals"], "target_instrument": ["vocals"]}},
        {"training": {"instruments": ["../vocals"]}},
        {"training": {"instruments": ["vocals", "VOCALS"]}},
        {"training": {"instruments": ["vocals"] * 100}},
        {"licence": "a\nb"},
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(parts: dict[str, Any]) -> None:
    with pytest.raises(ModelDamagedError) as refused:
        Config.read("a.yaml", _content(**parts))

    assert "\n" not in str(refused.value)


def _options(**model: Any) -> Any:
    return Config.read("a.yaml", _content(model=model)).options()


def test_arguments_are_read_with_their_bounds() -> None:
    options = _options(a=3, b=0.5, c=True, d="gelu", e=[1, 2], f=[0.1, 2], g=None)

    assert options.whole("a", 1, 3) == 3
    assert options.number("b", 0, 1) == 0.5
    assert options.flag("c") is True
    assert options.text("d", ("relu", "gelu")) == "gelu"
    assert options.wholes("e", 1, 2, count=2) == (1, 2)
    assert options.numbers("f", 0, 2) == (0.1, 2.0)
    assert options.whole("g", 1, 9, 7) == 7
    assert options.wholes("h", 1, 9, default=(7, 8)) == (7, 8)
    options.close()


@pytest.mark.parametrize(
    ("method", "arguments", "value"),
    [
        ("whole", (1, 3), 4),
        ("whole", (1, 3), True),
        ("whole", (1, 3), "2"),
        ("whole", (1, 3), None),
        ("number", (0, 1), float("nan")),
        ("number", (0, 1e400), float("inf")),
        ("number", (0, 1), "x"),
        ("flag", (), 1),
        ("text", (("relu",),), "eval"),
        ("wholes", (1, 3), [1, 2.0]),
        ("wholes", (1, 3), []),
        ("wholes", (1, 3), [1] * 2000),
        ("numbers", (1, 3), 2),
        ("numbers", (1, 3), {"a": 1}),
    ],
)
def test_arguments_out_of_bounds_are_refused(method: str, arguments: Any, value: Any) -> None:
    with pytest.raises(ModelDamagedError, match="name"):
        getattr(_options(name=value), method)("name", *arguments)


def test_an_argument_that_nobody_asks_for_is_refused() -> None:
    options = _options(known=1, dropout=0.1, unknown=2)
    options.whole("known", 1, 1)
    options.ignore("dropout")

    with pytest.raises(ModelError, match="unknown"):
        options.close()
