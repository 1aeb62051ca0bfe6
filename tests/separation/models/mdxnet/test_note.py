from __future__ import annotations

import pytest
import yaml

from octet.errors import ModelDamagedError
from octet.separation.models.mdxnet.note import Note
from octet.separation.models.spec import StftSpec


def _read(text: str) -> Note:
    return Note.read("a.yaml", yaml.safe_load(text))


def test_a_note_says_what_the_file_does_not() -> None:
    note = _read(
        "{n_fft: 7680, hop: 512, bins: 3072, stem: Vocals, compensation: 1.009, "
        "name: Kim, licence: MIT, source: https://example.org}"
    )

    spec = note.describe((3072, 256), "file")

    assert spec.stft == StftSpec(7680, 512, "center", 3072)
    assert (spec.name, spec.licence, spec.origin) == ("Kim", "MIT", "https://example.org")
    assert (spec.kind, spec.sources, spec.segment) == ("spectral", ("vocals",), 512 * 255)
    assert note.compensation == 1.009


def test_the_names_in_uvrs_own_list_are_understood() -> None:
    entry = {
        "compensate": 1.065,
        "mdx_dim_f_set": 2048,
        "mdx_dim_t_set": 8,
        "mdx_n_fft_scale_set": 5120,
        "primary_stem": "Instrumental",
        "is_karaoke": True,
    }

    wanted = Note(n_fft=5120, stem="instrumental", bins=2048, compensation=1.065)
    assert Note.read("a.json", entry) == wanted


def test_what_neither_says_is_the_usual() -> None:
    spec = _read("{n_fft: 4096, stem: inst}").describe((None, None), "file")

    assert spec.stft == StftSpec(4096, 1024, "center", 2048)
    assert (spec.name, spec.segment) == ("file", 1024 * 255)


@pytest.mark.parametrize(
    "text",
    [
        "{stem: vocals}",
        "{n_fft: 4096}",
        "{n_fft: 4096, stem: drums}",
        "{n_fft: 4096, stem: [vocals]}",
        "{n_fft: yes, stem: vocals}",
        "{n_fft: 4096.0, stem: vocals}",
        "{n_fft: -4096, stem: vocals}",
        "{n_fft: 4194304, stem: vocals}",
        "{n_fft: 4096, stem: vocals, compensation: .nan}",
        "{n_fft: 4096, stem: vocals, compensation: .inf}",
        "{n_fft: 4096, stem: vocals, compensation: 0}",
        "{n_fft: 4096, stem: vocals, compensation: 1" + "0" * 400 + "}",
        "{n_fft: 4096, stem: vocals, compensate: 1, compensation: 1}",
        '{n_fft: 4096, stem: vocals, name: "a\\nb"}',
        "{n_fft: 4096, stem: vocals, licence: [MIT]}",
        "{n_fft: 4096, stem: vocals, segment: 3}",
        "{n_fft: 4096, stem: vocals, ? 0x" + "f" * 5000 + " : 3}",
    ],
)
def test_a_note_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ModelDamagedError, match=r"a\.yaml"):
        _read(text)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("{n_fft: 4097, stem: vocals}", (2048, 256)),
        ("{n_fft: 4096, stem: vocals}", (2050, 256)),
        ("{n_fft: 4096, stem: vocals, hop: 4096}", (2048, 256)),
        ("{n_fft: 4096, stem: vocals, bins: 1024}", (2048, 256)),
        ("{n_fft: 4096, stem: vocals, frames: 128}", (2048, 256)),
        ("{n_fft: 4096, stem: vocals}", (2048, 1)),
        ("{n_fft: 4096, stem: vocals, frames: 1048576}", (2048, None)),
        ("{n_fft: 4, stem: vocals, hop: 2}", (3, 2**63)),
    ],
)
def test_a_network_beyond_its_note_or_all_size_is_refused(
    text: str, shape: tuple[int | None, int | None]
) -> None:
    with pytest.raises(ModelDamagedError):
        _read(text).describe(shape, "file")
