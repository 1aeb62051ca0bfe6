"""Where results lie: a folder belongs to one song, and no song takes another's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from octet.errors import SettingError
from octet.results.place import Naming, Wanted, owner_of, place_of
from tests.results.made import DEFAULT, manifest, track

if TYPE_CHECKING:
    from octet.results.manifest import Manifest
    from octet.results.recipe import Recipe

ONE, OTHER = "1a" * 32, "2b" * 32


def put(folder: Path, song: str, recipe: Recipe = DEFAULT) -> Manifest:
    """A result in a folder, its tracks' files with it."""
    made = manifest(recipe, song=song)
    folder.mkdir(parents=True)
    for entry in made.tracks.values():
        (folder / entry.key).write_bytes(b"sound")
    (folder / "manifest.json").write_text(made.to_json())
    return made


def test_the_first_song_of_a_name_gets_the_plain_folder(tmp_path):
    assert place_of(tmp_path / "out" / "Intro", ONE) == tmp_path / "out" / "Intro"
    # and a folder of somebody's, in which no result lies, is as good as none
    (tmp_path / "out" / "Intro").mkdir(parents=True)
    assert place_of(tmp_path / "out" / "Intro", ONE) == tmp_path / "out" / "Intro"


def test_another_song_of_that_name_gets_a_number_and_each_keeps_its_own(tmp_path):
    # given two songs of one name
    put(tmp_path / "Intro", ONE)
    assert place_of(tmp_path / "Intro", OTHER) == tmp_path / "Intro (2)"
    put(tmp_path / "Intro (2)", OTHER)
    # then each finds its own folder again, and a third gets the next
    assert place_of(tmp_path / "Intro", ONE) == tmp_path / "Intro"
    assert place_of(tmp_path / "Intro", OTHER) == tmp_path / "Intro (2)"
    assert place_of(tmp_path / "Intro", "3c" * 32) == tmp_path / "Intro (3)"
    # and the second keeps its own where the first is gone
    (tmp_path / "Intro").rename(tmp_path / "elsewhere")
    assert place_of(tmp_path / "Intro", OTHER) == tmp_path / "Intro (2)"
    assert place_of(tmp_path / "Intro", "3c" * 32) == tmp_path / "Intro"


def test_names_that_some_file_systems_take_for_one_count_as_one(tmp_path):
    put(tmp_path / "INTRO", ONE)
    put(tmp_path / "Caf\u00e9", ONE)
    assert place_of(tmp_path / "Intro", OTHER) == tmp_path / "Intro (2)"
    assert place_of(tmp_path / "Intro", ONE) == tmp_path / "INTRO"
    assert place_of(tmp_path / "Cafe\u0301", OTHER) == tmp_path / "Cafe\u0301 (2)"


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '{"song": "Lied"}', '{"song": {}}'])
def test_a_manifest_that_is_not_understood_belongs_to_somebody(tmp_path, text):
    (tmp_path / "Intro").mkdir()
    (tmp_path / "Intro" / "manifest.json").write_text(text)
    assert owner_of(tmp_path / "Intro") == ""
    assert place_of(tmp_path / "Intro", ONE) == tmp_path / "Intro (2)"


def test_owners(tmp_path):
    put(tmp_path / "Intro", ONE)
    assert owner_of(tmp_path / "Intro") == ONE
    assert owner_of(tmp_path / "none") is None
    assert owner_of(tmp_path / "Intro" / "vocals.mp3") is None


def test_a_result_that_is_wanted_is_found_if_it_is_whole(tmp_path):
    # given a result of eight tracks
    made = put(tmp_path / "Intro", ONE)
    wanted = Wanted(ONE, "Intro", DEFAULT, made.model.sha256, Naming())
    assert wanted.found_in(tmp_path / "Intro") == made
    # then it is also what is wanted where fewer tracks are
    fewer = replace(wanted, recipe=replace(DEFAULT, tracks=("vocals",)))
    assert fewer.found_in(tmp_path / "Intro") == made
    # and not of another song, recipe, model, part, nor of files of other names
    for other in (
        replace(wanted, song=OTHER),
        replace(wanted, recipe=replace(DEFAULT, bitrate=128)),
        replace(wanted, model="ef" * 32),
        replace(wanted, excerpt=(0.0, 30.0)),
        replace(wanted, naming=Naming(filename="{song}-{stem}.{ext}")),
    ):
        assert other.found_in(tmp_path / "Intro") is None
    # nor where a file was changed, or is gone
    (tmp_path / "Intro" / "drums.mp3").write_bytes(b"noise")
    assert wanted.found_in(tmp_path / "Intro") is None
    (tmp_path / "Intro" / "drums.mp3").unlink()
    assert wanted.found_in(tmp_path / "Intro") is None


def test_a_manifest_cannot_make_files_elsewhere_count(tmp_path):
    # given a manifest whose track lies beside the folder
    (tmp_path / "Intro").mkdir()
    (tmp_path / "vocals.mp3").write_bytes(b"sound")
    odd = manifest(tracks={"vocals": track("../vocals.mp3")}, song=ONE)
    (tmp_path / "Intro" / "manifest.json").write_text(odd.to_json())
    wanted = Wanted(ONE, "Intro", odd.recipe, odd.model.sha256, Naming())
    assert wanted.found_in(tmp_path / "Intro") is None


def test_names_by_templates():
    usual, compared = Naming(), Naming("{model}/{song}")
    assert usual.folder("Intro", "pocket") == Path("Intro")
    assert usual.file("vocals", "mp3", "Intro", "pocket") == "vocals.mp3"
    assert compared.folder("Intro", "spleeter:4stems") == Path("spleeter-4stems", "Intro")
    assert compared.folder("Intro", "/models/mine").parts == ("-models-mine", "Intro")
    # and with Demucs' words, whose path before the file is the layout
    demucs = Naming(filename="{model}/{track}/{track}-{stem}.{ext}")
    assert demucs.folder("Intro", "pocket") == Path("pocket", "Intro")
    assert demucs.file("bass", "wav", "Intro", "pocket") == "Intro-bass.wav"
    # and an ending is put behind where it was left out; stem files keep theirs
    assert Naming(filename="{stem}").file("bass", "wav", "x", "y") == "bass.wav"
    assert demucs.file("stem", "mp4", "Intro", "pocket") == "Intro.stem.mp4"


@pytest.mark.parametrize(
    ("layout", "filename", "says"),
    [
        ("{model}", "{stem}.{ext}", "no folder of their own"),
        ("{song}/{model}", "{stem}.{ext}", "no folder of their own"),
        ("../{song}", "{stem}.{ext}", "no folder in the output's"),
        ("/{song}", "{stem}.{ext}", "no folder in the output's"),
        ("{song}", "{song}.{ext}", "one name"),
        ("{song}", "{song}-{track}.{ext}", "one name"),
        ("{song}", "{stem.__class__}.{ext}", "not known"),
        ("{song}", "{stem!r}.{ext}", "not known"),
        ("{song}", "{stem:>999999999}.{ext}", "not known"),
        ("{song}", "{stem}{trackext}", "not known"),
        ("{song", "{stem}", "braces"),
        ("{song}", "../{stem}", "no folder"),
    ],
)
def test_templates_that_make_no_sense(layout, filename, says):
    with pytest.raises(SettingError, match=says):
        Naming(layout, filename)


def test_a_files_hash_is_that_of_its_bytes(tmp_path):
    # given a manifest whose size is right and whose hash is another's
    made = put(tmp_path / "Intro", ONE)
    sha256 = hashlib.sha256(b"noise").hexdigest()
    changed = replace(made.tracks["bass"], sha256=sha256)
    text = replace(made, tracks={**made.tracks, "bass": changed}).to_json()
    (tmp_path / "Intro" / "manifest.json").write_text(text)
    wanted = Wanted(ONE, "Intro", DEFAULT, made.model.sha256, Naming())
    assert wanted.found_in(tmp_path / "Intro") is None
