"""What a command is given: files, folders of them, and what is none."""

from __future__ import annotations

from pathlib import Path

from octet.audio.song import Limits
from octet.cli.songs import find_songs
from tests.cli.test_separate import make_song
from tests.results.made import manifest


def test_a_folder_gives_its_songs_and_those_in_its_folders(tmp_path):
    # given an album in two folders, with what else lies about
    music, out = tmp_path / "music", tmp_path / "music" / "separated"
    for folder in ("CD1", "CD2", ".hidden", "separated/old", "CD1/result"):
        (music / folder).mkdir(parents=True)
        make_song(music / folder / "01 Intro.wav", 0.1)
    make_song(music / "bonus.WAV", 0.1)
    (music / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0picture")
    (music / "notes.txt").write_text("none of them is a song")
    (music / "._bonus.WAV").write_bytes(b"of a Mac")
    (music / "CD1" / "result" / "manifest.json").write_text(manifest().to_json())
    whole = (music / "bonus.WAV").read_bytes()
    (music / "CD2" / "cut.wav").write_bytes(whole[:30])

    found = find_songs([str(music)], out, Limits())

    # then they are found by name, with the folders in which they lie, and their lengths
    songs = [(song.name, song.below, song.seconds) for song in found.songs]
    assert songs == [
        ("bonus.WAV", Path("."), 0.1),
        ("01 Intro.wav", Path("CD1"), 0.1),
        ("01 Intro.wav", Path("CD2"), 0.1),
    ]
    # what is no sound is passed over, and what is a broken song is told
    assert [path.name for path, _ in found.passed] == ["cover.jpg", "notes.txt"]
    assert [name for name, _ in found.refused] == ["CD2/cut.wav"]


def test_what_is_not_there_and_addresses_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "empty").mkdir()
    given = ["https://example.org/a.mp3?x=1&y", str(tmp_path / "none.mp3"), str(tmp_path / "empty")]
    found = find_songs(given, tmp_path / "out", Limits())
    assert not found.songs
    address, missing, empty = (str(error) for _, error in found.refused)
    assert "curl -sL 'https://example.org/a.mp3?x=1&y' | octet separate -" in address
    assert "octet submit" in address
    assert "there is no file" in missing
    assert "there is no song in this folder" in empty


def test_files_are_songs_without_folders_and_standard_input_is_one(tmp_path):
    make_song(tmp_path / "song.wav", 0.5)
    found = find_songs([str(tmp_path / "song.wav"), "-"], tmp_path / "out", Limits())
    assert [(song.name, song.below) for song in found.songs] == [
        ("song.wav", Path(".")),
        ("stdin", Path(".")),
    ]
