from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from octet.errors import ModelDamagedError, UnknownModelError
from octet.separation.models.folder import MAX_BAG_BYTES, open_bag

if TYPE_CHECKING:
    from pathlib import Path


def _bag(folder: Path, text: str, *files: str) -> Path:
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    for name in files:
        (folder / name).write_bytes(b"weights")
    return folder


def test_a_bag_names_its_checkpoints_weights_and_segment(tmp_path: Path) -> None:
    text = "models: ['955717e8', aaaa]\nweights: [[1, 0], [0., 1.5]]\nsegment: 44\n"

    bag = open_bag(_bag(tmp_path, text, "955717e8-8726e21a.th", "aaaa.safetensors", "other.th"))

    assert bag.name == "mine"
    assert [file.name for file in bag.files] == ["955717e8-8726e21a.th", "aaaa.safetensors"]
    assert bag.weights_for(2) == ((1.0, 0.0), (0.0, 1.5))
    assert bag.segment == 44


def test_a_signature_of_digits_alone_is_still_a_name(tmp_path: Path) -> None:
    bag = open_bag(_bag(tmp_path, "models: [12345678]", "12345678.safetensors"))

    assert bag.files[0].name == "12345678.safetensors"


@pytest.mark.parametrize("licence", ["[]", "7", '"\\e[31mMIT"', '"a\\nb"', "x" * 2000])
def test_a_licence_that_is_no_line_of_text_is_refused(tmp_path: Path, licence: str) -> None:
    folder = _bag(tmp_path, f"models: [a]\nlicence: {licence}\n", "a.safetensors")

    with pytest.raises(ModelDamagedError, match="licence"):
        open_bag(folder)


def test_safetensors_are_preferred_to_a_pickle(tmp_path: Path) -> None:
    bag = open_bag(_bag(tmp_path, "models: [a]", "a.th", "a.safetensors"))

    assert bag.files[0].suffix == ".safetensors"


@pytest.mark.parametrize("name", ["a.safetensors", "a.onnx", "a.th"])
def test_a_folder_or_a_file_can_be_one_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    (tmp_path / ".hidden.onnx").touch()
    (tmp_path / "README.md").touch()

    assert open_bag(tmp_path).files == (tmp_path / name,)
    assert open_bag(tmp_path / name).files == (tmp_path / name,)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b",
        "models: a",
        "models: []",
        "models: [[a]]",
        "models: [../../etc/passwd]",
        "models: [/etc/passwd]",
        "models: ['a/b']",
        "models: [.hidden]",
        "models: ['a\\0b']",
        "models: [null]",
        "models: [" + "a, " * 40 + "]",
        "models: !!python/object/apply:os.system ['true']",
        "models: [a]\nweights: 1",
        "models: [a]\nweights: [[1], [1]]",
        "models: [a]\nweights: [[one]]",
        "models: [a]\nweights: [[.nan]]",
        "models: [a]\nweights: [[.inf]]",
        "models: [a]\nsegment: -1",
        "models: [a]\nsegment: yes",
        "models: [a]\nsegment: [44]",
        "{" * 5000,
        "[" * 5000,
        "a: &a [1]\nb: *c",
        "#" * (MAX_BAG_BYTES + 1),
        "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"),
        "",
    ],
)
def test_a_bag_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelDamagedError):
        open_bag(_bag(tmp_path, text, "a.safetensors"))


TRAINING = """\
audio: {chunk_size: 1000}
model:
  dims: !!python/tuple [4, 32]
training: {instruments: [vocals, drums]}
"""


@pytest.mark.parametrize("name", ["a.ckpt", "a.th", "a.pt", "a.safetensors"])
def test_a_checkpoint_of_a_training_framework_lies_beside_its_description(
    tmp_path: Path, name: str
) -> None:
    bag = open_bag(_bag(tmp_path, TRAINING, name))

    assert bag.name == tmp_path.name
    assert [file.name for file in bag.files] == [name]
    assert bag.config is not None
    assert bag.config.model == {"dims": [4, 32]}
    assert bag.config.sources == ("vocals", "drums")


@pytest.mark.parametrize("names", [[], ["a.ckpt", "b.ckpt"]])
def test_a_description_of_a_training_framework_needs_one_checkpoint(
    tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(UnknownModelError, match="checkpoints"):
        open_bag(_bag(tmp_path, TRAINING, *names))


def test_a_checkpoint_alone_does_not_say_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").touch()

    with pytest.raises(UnknownModelError, match="YAML"):
        open_bag(tmp_path / "a.ckpt")


def test_other_tags_of_python_are_refused_and_run_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    text = f"{TRAINING}inference: !!python/object/apply:os.mkdir ['{trace}']\n"

    with pytest.raises(ModelDamagedError, match="not YAML"):
        open_bag(_bag(tmp_path, text, "a.ckpt"))
    assert not trace.exists()


def test_a_bag_that_would_grow_by_its_aliases_is_refused(tmp_path: Path) -> None:
    # Given thirty mappings, each twice the one before it,
    lines = [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 30)]
    text = "\n".join(["a0: &a0 {x: 1}", *lines, "models: [a]"])

    with pytest.raises(ModelDamagedError, match="not YAML"):
        open_bag(_bag(tmp_path, text, "a.safetensors"))


def test_weights_have_to_fit_the_sources(tmp_path: Path) -> None:
    text = "models: [a, b]\nweights: [[1, 0], [1, 0]]"
    bag = open_bag(_bag(tmp_path, text, "a.th", "b.th"))

    with pytest.raises(ModelDamagedError, match="cancel"):
        bag.weights_for(2)
    with pytest.raises(ModelDamagedError, match="4 sources"):
        bag.weights_for(4)


def test_a_checkpoint_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="abcd"):
        open_bag(_bag(tmp_path, "models: [abcd]"))


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    (folder / "a.safetensors").symlink_to("../secret.safetensors")

    with pytest.raises(ModelDamagedError, match="link"):
        open_bag(_bag(folder, "models: [a]"))
    (folder / "mine.yaml").unlink()
    with pytest.raises(ModelDamagedError, match="link"):
        open_bag(folder)


def test_a_link_within_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(b"weights")
    (tmp_path / "a.safetensors").symlink_to("real.bin")

    assert open_bag(_bag(tmp_path, "models: [a]")).files == (tmp_path / "a.safetensors",)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")

    with pytest.raises(ModelDamagedError, match="regular"):
        open_bag(tmp_path)


def test_a_file_beyond_all_size_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.truncate(5 * 1024**3)  # without taking room on the disk

    with pytest.raises(ModelDamagedError, match="larger"):
        open_bag(tmp_path)


@pytest.mark.parametrize("names", [[], ["README.md"], ["a.onnx", "b.onnx"]])
def test_a_folder_without_one_model_is_unknown(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(UnknownModelError):
        open_bag(tmp_path)


def test_ambiguous_folders_are_refused(tmp_path: Path) -> None:
    _bag(tmp_path, "models: [a]", "a-11111111.th", "a-22222222.th")
    with pytest.raises(ModelDamagedError, match="several checkpoints"):
        open_bag(tmp_path)

    (tmp_path / "second.yaml").touch()
    with pytest.raises(ModelDamagedError, match="several bags"):
        open_bag(tmp_path)


def test_a_file_of_another_kind_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()

    with pytest.raises(UnknownModelError, match=r"song\.mp3"):
        open_bag(tmp_path / "song.mp3")
