"""A result's folder: all files appear together, and what was there besides stays."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from octet.errors import OutputError
from octet.results.folder import ResultFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def publish(folder: Path, *names: str, content: str = "new") -> None:
    """Publishes tracks of these file names."""
    tracks = {name.partition(".")[0]: {"key": name} for name in names}
    with ResultFolder(folder) as result:
        for name in names:
            (result.stage / name).write_text(content)
        result.publish(json.dumps({"tracks": tracks}))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Another file system, mounted on `folder`."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk can only be mounted by root, where mounting is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_folder_appears_with_all_files(tmp_path):
    # given a result under way
    out = tmp_path / "deep" / "out"
    with ResultFolder(out) as result:
        (result.stage / "vocals.mp3").write_text("sound")
        # then nothing of it is in the folder
        assert not out.exists()
        # until it is published
        result.publish("{}")
    assert names(out) == {"vocals.mp3", "manifest.json"}
    assert names(out.parent) == {"out"}


@pytest.mark.parametrize("there", [False, True])
def test_what_is_not_published_is_gone(tmp_path, there):
    # given a folder that is there or not, and work that ends before it is published
    out = tmp_path / "out"
    if there:
        out.mkdir()
    with ResultFolder(out) as result:
        (result.stage / "vocals.mp3").write_text("sound")
    # then all is as before
    assert names(tmp_path) == ({"out"} if there else set())
    assert not there or names(out) == set()


def test_tracks_of_an_earlier_result_go_and_nothing_else(tmp_path):
    # given a result in one format, with a file of somebody's own beside it
    out = tmp_path / "out"
    publish(out, "vocals.mp3", "drums.mp3", "guitar.mp3", content="old")
    (out / "notes.mp3").write_text("mine")
    # when one of fewer tracks, and then one of another format is published there
    publish(out, "vocals.mp3", "drums.mp3")
    assert names(out) == {"vocals.mp3", "drums.mp3", "notes.mp3", "manifest.json"}
    publish(out, "vocals.flac")
    # then only the files of the last one are left, and what is not ours
    assert names(out) == {"vocals.flac", "notes.mp3", "manifest.json"}
    assert (out / "vocals.flac").read_text() == "new"
    assert (out / "notes.mp3").read_text() == "mine"


@pytest.mark.parametrize(
    "manifest",
    [
        "not JSON",
        "[1]",
        '{"tracks": 5}',
        '{"tracks": {"vocals": {"key": "../precious.mp3"}}}',
        '{"tracks": {"../precious": {"key": "../precious.mp3"}}}',
        '{"tracks": {"precious": {"key": "notes.txt"}, "notes": {"key": "notes.txt"}}}',
    ],
)
def test_an_odd_manifest_deletes_nothing(tmp_path, manifest):
    # given a folder with a manifest that Octet did not write
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(manifest)
    (out / "notes.txt").write_text("mine")
    (tmp_path / "precious.mp3").write_text("mine")
    # when a result is published there, then only the manifest is replaced
    publish(out, "vocals.mp3")
    assert names(out) == {"vocals.mp3", "notes.txt", "manifest.json"}
    assert names(tmp_path) == {"out", "precious.mp3"}


def test_a_mount_point_and_a_link_to_another_disk(tmp_path):
    # given a folder that is a mount point, and a link to it from another file system
    with small_disk(tmp_path / "disk") as disk:
        (tmp_path / "link").symlink_to(disk)
        # when results are published to the one and to the other
        publish(disk, "vocals.mp3", content="first")
        publish(tmp_path / "link", "vocals.mp3", content="second")
        publish(tmp_path / "link" / "deeper", "bass.mp3")
        # then they lie on the disk, and the link is still one
        assert names(disk) == {"vocals.mp3", "manifest.json", "deeper"}
        assert (disk / "vocals.mp3").read_text() == "second"
        assert (tmp_path / "link").is_symlink()
        assert names(tmp_path) == {"disk", "link"}


def test_a_link_to_a_folder_that_is_still_to_be_made(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "later")
    publish(tmp_path / "link", "vocals.mp3")
    assert names(tmp_path / "later") == {"vocals.mp3", "manifest.json"}
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_appears_meanwhile(tmp_path):
    # given a result under way, and another program that makes the folder before it is published
    with ResultFolder(tmp_path / "out") as result:
        (result.stage / "vocals.mp3").write_text("sound")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
        result.publish("{}")
    # then both are there
    assert names(tmp_path / "out") == {"vocals.mp3", "manifest.json", "notes.txt"}
    assert names(tmp_path) == {"out"}


def test_a_file_in_the_way_is_told_before_any_work(tmp_path):
    (tmp_path / "out").write_text("a file")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match="a file of that name is in the way"):
            ResultFolder(folder)
    with pytest.raises(OutputError, match="cannot write to /proc/octet"):
        ResultFolder(tmp_path / "/proc/octet")
    assert names(tmp_path) == {"out"}


def test_a_stem_file_of_an_earlier_result_goes_by_its_songs_name(tmp_path):
    # given a stem file, named after its song, and another that nobody's manifest names
    out = tmp_path / "out"
    with ResultFolder(out) as result:
        (result.stage / "Das Lied.stem.mp4").write_text("old")
        result.publish(json.dumps({"tracks": {"stem": {"key": "Das Lied.stem.mp4"}}}))
    (out / "mine.stem.mp4").write_text("mine")
    # when tracks are published there, then it goes and the other stays
    publish(out, "vocals.mp3")
    assert names(out) == {"vocals.mp3", "mine.stem.mp4", "manifest.json"}


@pytest.mark.parametrize(
    "key", ["../mine.stem.mp4", "/mine.stem.mp4", "a\0.stem.mp4", "mine.mp4", "", ".."]
)
def test_a_manifest_from_anywhere_deletes_nothing_but_stem_files_beside_it(tmp_path, key):
    # given a manifest with a key of somebody's choice
    out = tmp_path / "out"
    publish(out, "vocals.mp3")
    for place in (tmp_path / "mine.stem.mp4", out / "mine.mp4"):
        place.write_text("mine")
    (out / "manifest.json").write_text(json.dumps({"tracks": {"stem": {"key": key}}}))
    # when tracks are published there, then nothing is gone
    publish(out, "vocals.mp3")
    assert names(out) == {"vocals.mp3", "mine.mp4", "manifest.json"}
    assert (tmp_path / "mine.stem.mp4").exists()


def publish_song(result: ResultFolder, song: str) -> None:
    (result.stage / "vocals.mp3").write_text(song)
    tracks = {"vocals": {"key": "vocals.mp3"}}
    result.publish(json.dumps({"song": {"sha256": song}, "tracks": tracks}))


def test_two_songs_of_one_name_that_are_under_way_at_once(tmp_path):
    # given two results that are made for one folder at the same time, of different songs
    out = tmp_path / "Intro"
    with ResultFolder(out, "1a") as first, ResultFolder(out, "2b") as second:
        # when both are published, then the later one lies beside the earlier one
        publish_song(first, "1a")
        publish_song(second, "2b")
    assert names(tmp_path) == {"Intro", "Intro (2)"}
    assert (out / "vocals.mp3").read_text() == "1a"
    assert (tmp_path / "Intro (2)" / "vocals.mp3").read_text() == "2b"
    # and each is replaced where it lies
    for song in ("2b", "1a"):
        with ResultFolder(out, song) as again:
            publish_song(again, song)
    assert names(tmp_path) == {"Intro", "Intro (2)"}
    assert (out / "vocals.mp3").read_text() == "1a"


def test_files_of_other_names_go_if_they_are_what_the_manifest_describes(tmp_path):
    # given tracks that have names of somebody's choice, one of them changed by hand since
    out = tmp_path / "out"
    tracks = {}
    with ResultFolder(out) as result:
        for track in ("vocals", "drums"):
            key, data = f"Lied - {track}.mp3", track.encode()
            (result.stage / key).write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            tracks[track] = {"key": key, "bytes": len(data), "sha256": sha256}
        result.publish(json.dumps({"tracks": tracks}))
    (out / "Lied - drums.mp3").write_text("mixed")
    # when a result of the usual names takes its place, then what was changed stays
    publish(out, "vocals.mp3")
    assert names(out) == {"vocals.mp3", "Lied - drums.mp3", "manifest.json"}
