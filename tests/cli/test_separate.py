"""`octet separate` as a user meets it: a program with files, output, and an exit status."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import typer

from octet.cli import separate as command
from octet.errors import ModelError
from octet.formats import Encoding
from octet.separation.model import ONCE
from octet.separation.separator import Separator
from octet.tracks import TRACKS
from tests.audio.waves import song, whole
from tests.separation.sources import Shares

RATE = 44_100


def make_song(path: Path, seconds: float = 1.0, seed: int = 5) -> Path:
    """A WAV file with a chord and noise."""
    time_axis = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(time_axis.size)
    tone = np.sin(2 * np.pi * 220 * time_axis) + np.sin(2 * np.pi * 277 * time_axis)
    samples = np.asarray((0.1 * tone + 0.05 * noise) * 32767, "<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def octet(
    *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "octet", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_damaged_song_is_silenced_in_that_place_or_refused_as_it_is_told(tmp_path):
    # given an MP3 of which two frames are overwritten
    data = bytearray(song(tmp_path, Encoding("mp3", bitrate=192), 200_000).read_bytes())
    start = data.index(data[data.index(b"Info") + 591 :][:2], len(data) // 2)
    data[start + 2 : start + 1200] = bytes(1198)
    (tmp_path / "song.mp3").write_bytes(data)
    call = ("separate", "song.mp3", "--json", "--tracks", "vocals")

    # when damage is to be refused, then it is, with the way out
    refused = octet(*call, "--damaged", "refuse", cwd=tmp_path)
    assert refused.returncode == 1
    assert "--damaged skip" in refused.stderr

    # and when nothing is said, then it keeps its length, and says what is silent
    skipped = octet(*call, cwd=tmp_path)
    assert "damaged" in skipped.stderr or "damaged" in skipped.stdout
    manifest = json.loads(skipped.stdout)
    assert manifest["song"]["samples"] == 200_000
    assert 0.02 < manifest["song"]["silenced"] < 0.2
    assert manifest["settings"]["damaged"] == "skip"
    assert manifest["tracks"]["vocals"]["residual_db"] < -10


def test_two_models_make_a_cascade(tmp_path):
    # given a song, when two models separate it, one after the other
    make_song(tmp_path / "song.wav", 2.0)
    done = octet("separate", "song.wav", "--model", "pocket+pocket", cwd=tmp_path)
    # then both are named in the first line, and the eight files null
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("pocket+pocket: vocals by pocket")
    manifest = json.loads((tmp_path / "separated" / "song" / "manifest.json").read_text())
    assert manifest["model"]["name"] == "pocket+pocket"
    assert manifest["null_db"] < -90
    assert {*manifest["tracks"]} == {*TRACKS}


def test_a_song_becomes_a_folder_of_eight_files(tmp_path):
    # given a song, when it is separated with the bundled model and no network
    make_song(tmp_path / "song.wav", 2.0)
    done = octet("separate", "song.wav", "--json", cwd=tmp_path, https_proxy="http://127.0.0.1:9")
    # then there is a folder of its name with the eight tracks and the manifest
    assert done.returncode == 0, done.stderr
    out = tmp_path / "separated" / "song"
    assert names(out) == {f"{track}.mp3" for track in TRACKS} | {"manifest.json"}
    # and the manifest is printed, one line on standard output
    assert json.loads(done.stdout) == json.loads((out / "manifest.json").read_text())
    manifest = json.loads(done.stdout)
    assert manifest["model"]["name"] == "pocket"
    assert manifest["null_db"] < -90
    assert {track["samples"] for track in manifest["tracks"].values()} == {2 * RATE}
    # and no progress bar is drawn where nobody would see it
    assert "%" not in done.stderr


def test_bad_files_are_told_apart_and_the_good_ones_still_done(tmp_path):
    # given one good song among files that are none
    songs = tmp_path / "songs"
    songs.mkdir()
    make_song(songs / "good.wav")
    (songs / "text.mp3").write_text("Dear diary, today I was renamed.\n" * 50)
    (songs / "empty.mp3").write_bytes(b"")
    (songs / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.mp3\n")
    (songs / "folder.mp3").mkdir()
    whole = (songs / "good.wav").read_bytes()
    (songs / "cut.wav").write_bytes(whole[: len(whole) // 2])
    bad = ("text.mp3", "empty.mp3", "list.m3u8", str(songs / "folder.mp3"), "missing.mp3")
    # when all are given in one call, a bad one first
    files = [songs / name for name in (*bad[:3], "good.wav", "cut.wav", *bad[3:])]
    done = octet("separate", *files, "-o", "out", cwd=tmp_path)
    # then the exit status says that something failed, each failure is one line with its name
    assert done.returncode == 1
    said = done.stderr.splitlines()
    complaints = [line for line in said if line.startswith("octet: ")]
    assert [line.split(": ")[1] for line in complaints] == [*bad, "cut.wav"]
    assert "Traceback" not in done.stderr
    # and what can be told beforehand is told before the model is loaded
    model = next(at for at, line in enumerate(said) if line.startswith("pocket"))
    assert said.index(complaints[4]) < model < said.index(complaints[5])
    # the good one is there, and nothing else
    assert names(tmp_path / "out") == {"good"}
    assert len(names(tmp_path / "out" / "good")) == 9


def test_names_that_trip_others(tmp_path):
    # given songs with a dash in front, quotes, other scripts, and 200 characters
    files = [
        "-v.wav",
        'it\'s "x" $(touch pwned) `y`.wav',
        "Ünïcödé – 練習 🎵.wav",
        "n" * 200 + ".wav",
    ]
    for file in files:
        make_song(tmp_path / file, 0.2)
    # and two of one name, and one that differs in capitals alone
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    again = [
        make_song(tmp_path / "a" / "same.wav", 0.2, seed=1),
        make_song(tmp_path / "b" / "same.wav", 0.2, seed=2),
        make_song(tmp_path / "c" / "SAME.wav", 0.2, seed=3),
    ]
    # when they are separated in one call
    options = ("--tracks", "vocals", "--output", "out")
    done = octet("separate", *options, "--", *files, *again, cwd=tmp_path)
    # then each has its folder
    assert done.returncode == 0, done.stderr
    expected = {Path(file).stem for file in files} | {"same", "same (2)", "SAME (3)"}
    assert names(tmp_path / "out") == expected
    assert not (tmp_path / "pwned").exists()


def test_a_terminal_gets_no_sequences_from_names(tmp_path):
    # given a name with a terminal's control sequence, that does not exist
    done = octet("separate", "\x1b[31mred\x07.mp3", cwd=tmp_path)
    assert done.returncode == 1
    assert "\x07" not in done.stderr
    assert "\\x1b[31mred\\x07.mp3" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "nosuch"], "there is no model 'nosuch'"),
        (["--tracks", "banjo"], "there is no track 'banjo'"),
        (["--tracks", "karaoke"], "Perhaps instrumental"),
        (["--two-stems", "banjo"], "there is no track 'banjo'"),
        (["--mp3", "--int24"], "mp3 does not hold 24 bits"),
        (["--start", "soon"], "--start 'soon' is no time"),
        (["--start", "9", "--end", "8"], "no song has a part"),
        (["--filename", "{ext}"], "one name"),
        (["--bits", "12"], "OCTET_BITS"),
        (["--format", "ogg", "--bits", "24"], "ogg does not hold 24 bits"),
        (["--format", "flac", "--bitrate", "192"], "flac has no bit rate to choose. mp3, "),
        (["--overlap", "1.5"], "OCTET_OVERLAP"),
        (["--device", "cuda"], "cuda"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line(tmp_path, options, says):
    make_song(tmp_path / "song.wav", 0.2)
    done = octet("separate", "song.wav", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "separated").exists()


def test_a_read_only_output_is_explained(tmp_path):
    make_song(tmp_path / "song.wav", 0.2)
    # given an output that cannot be written, even by root
    done = octet("separate", "song.wav", "-o", "/proc/octet", cwd=tmp_path)
    # then one line says so
    assert done.returncode == 1
    assert "cannot write to /proc/octet" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_nothing_behind(tmp_path, number):
    # given a separation under way
    make_song(tmp_path / "song.wav", 120)
    process = subprocess.Popen(
        [sys.executable, "-m", "octet", "separate", "song.wav", "-o", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/.octet-*/*.mp3")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # when it is interrupted
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    # then it ends soon, says so, and nothing half-written is left
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert "Traceback" not in error
    assert names(tmp_path) <= {"song.wav", "out"}
    assert not list((tmp_path / "out").iterdir())


def test_a_terminal_sees_a_bar_with_seconds_left(tmp_path):
    # given a terminal as standard error
    make_song(tmp_path / "song.wav", 20)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "octet", "separate", "song.wav", "--tracks", "vocals"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other side has gone
            break
        if not data:
            break
        seen += data
    os.close(ours)
    # then it has drawn a bar with the song's name, percent and a time
    assert process.wait(timeout=30) == 0
    text = seen.decode(errors="replace")
    assert "song.wav" in text
    assert "%" in text
    assert "00:0" in text


def two_songs(folder: Path, first: str = "first.wav") -> tuple[str, str]:
    make_song(folder / first, 0.2)
    make_song(folder / "second.wav", 0.2)
    return first, "second.wav"


def separated(folder: Path) -> set[str]:
    """The songs of which there is a whole result."""
    return {path.parent.name for path in folder.glob("separated/*/manifest.json")}


def test_a_closed_pipe_ends_no_batch_and_is_no_error_report(tmp_path):
    # given a reader that goes at once (octet ... | head -0)
    two_songs(tmp_path)
    pipe = f"{sys.executable} -m octet separate first.wav second.wav --json | true"
    done = subprocess.run(
        ["bash", "-c", pipe], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "octet: " not in done.stderr
    assert "Traceback" not in done.stderr
    assert separated(tmp_path) == {"first", "second"}


@pytest.mark.parametrize("options", [["--json"], []])
def test_full_disks_behind_the_output_end_no_batch(tmp_path, options):
    # given output that goes to a full disk
    songs = two_songs(tmp_path)
    separate = [sys.executable, "-m", "octet", "separate", *songs, *options]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            separate, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100
        )
        # then it is said once, the exit status is 1, and all songs are done
        assert done.returncode == 1
        assert done.stderr.count("cannot write to standard output: No space left") == 1
        assert "Traceback" not in done.stderr
        assert separated(tmp_path) == {"first", "second"}
        # and where the messages cannot be written either, nobody is left to be told
        quiet = subprocess.run(
            [*separate, "missing.wav"], cwd=tmp_path, stdout=full, stderr=full, timeout=100
        )
        assert quiet.returncode == 1


def test_no_name_and_no_encoding_of_the_terminal_ends_a_batch(tmp_path):
    # given names that are not UTF-8, or markup for terminals, before another song
    latin = os.fsdecode(b"caf\xe9.wav")
    songs = ("[red]x[bold].wav", "[x.wav", latin, "Ünïcödé 練習.wav", "next.wav")
    for name in songs:
        make_song(tmp_path / name, 0.2)
    # when the terminal takes UTF-8, or ASCII alone
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for encoding, options in (({}, []), ({"PYTHONIOENCODING": "ascii"}, []), (plain, ["--json"])):
        done = octet(
            *("separate", *songs, "--tracks", "vocals", *options), cwd=tmp_path, **encoding
        )
        # then all are done
        assert done.returncode == 0, done.stderr
        assert len(separated(tmp_path)) == len(songs)
        shutil.rmtree(tmp_path / "separated" / "next")
    # and their manifests are JSON, in which stray bytes have become U+FFFD
    printed = [json.loads(line)["song"]["name"] for line in done.stdout.splitlines()]
    assert printed == [*songs[:2], "caf\ufffd.wav", *songs[3:]]
    written = tmp_path / "separated" / latin[:-4] / "manifest.json"
    assert json.loads(written.read_bytes())["song"]["name"] == "caf\ufffd.wav"


def test_standard_input_is_a_song(tmp_path):
    # given a song that comes through a pipe
    song = make_song(tmp_path / "song.wav", 0.5).read_bytes()
    separate = [sys.executable, "-m", "octet", "separate", "-", "--json"]
    environment = {**os.environ, "OCTET_SCRATCH": str(tmp_path)}

    def run(data: bytes, **more: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            separate, cwd=tmp_path, env={**environment, **more}, input=data, capture_output=True
        )

    # when it is separated, then its folder and its name are `stdin`
    done = run(song)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["song"]["name"] == "stdin"
    assert separated(tmp_path) == {"stdin"}
    # and what is no song, or too large, is refused as a file is
    empty = run(b"")
    assert (empty.returncode, b"is empty" in empty.stderr) == (1, True)
    large = run(song, OCTET_MAX_BYTES="1000")
    assert (large.returncode, b"OCTET_MAX_BYTES" in large.stderr) == (1, True)
    # and nothing is left in the scratch folder
    assert names(tmp_path) == {"song.wav", "separated"}


class BrokenForOne(Shares):
    """A model that gives up, or shows a fault of the program, for songs of some lengths."""

    def stems(self, song, passes=ONCE):
        if song.samples == RATE // 10:
            raise ModelError("the network gave what are no numbers")
        if song.samples == RATE // 5:
            raise ZeroDivisionError("division by zero")
        yield from super().stems(song, passes)


def test_a_model_or_a_program_that_fails_for_one_song_ends_no_batch(tmp_path, monkeypatch, capfd):
    # given a model that fails for two of three songs
    monkeypatch.setattr(command, "load", lambda *_: Separator(BrokenForOne()))
    files = [
        str(make_song(tmp_path / f"{name}.wav", seconds))
        for name, seconds in (("model", 0.1), ("program", 0.2), ("good", 0.3))
    ]
    # when they are separated in one call
    with pytest.raises(typer.Exit):
        command.separate(files=files, output=tmp_path / "separated")
    # then each failure is one line with its name, and the third is done
    said = capfd.readouterr().err.splitlines()
    assert "octet: model.wav: the network gave what are no numbers" in said
    assert "octet: program.wav: unforeseen ZeroDivisionError('division by zero')" in said
    assert separated(tmp_path) == {"good"}


def test_a_stem_file_lies_in_the_songs_folder_under_its_name(tmp_path):
    # given two songs of one name
    for seed, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        make_song(tmp_path / folder / "Lied.wav", 0.5, seed)
    # when stem files are made of them
    call = ("separate", "a/Lied.wav", "b/Lied.wav", "--format", "stem", "-o", "out")
    done = octet(*call, cwd=tmp_path)
    # then each is called after its song, whatever its folder is
    assert done.returncode == 0, done.stderr
    for folder in ("Lied", "Lied (2)"):
        assert names(tmp_path / "out" / folder) == {"Lied.stem.mp4", "manifest.json"}
    assert "1 track in" in done.stdout


def test_songs_of_one_name_never_take_each_others_place(tmp_path):
    # given two albums that begin with songs of one name
    for seed, folder in enumerate(("CD1", "CD2")):
        (tmp_path / folder).mkdir()
        make_song(tmp_path / folder / "01 Intro.wav", 0.3, seed)
    out = tmp_path / "out"
    # when they are separated in runs of their own, with other tracks, into one folder
    first = octet("separate", "CD1/01 Intro.wav", "-o", "out", cwd=tmp_path)
    call = ("separate", "CD2/01 Intro.wav", "-o", "out", "--tracks", "vocals")
    second = octet(*call, cwd=tmp_path)
    # then each has a folder of its own, and is told which
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert names(out) == {"01 Intro", "01 Intro (2)"}
    assert len(names(out / "01 Intro")) == 9
    assert names(out / "01 Intro (2)") == {"vocals.mp3", "manifest.json"}
    assert "01 Intro (2): 1 track in" in second.stdout
    # and the same song again, in another place, is there already
    (tmp_path / "CD1").rename(tmp_path / "moved")
    again = octet("separate", "moved/01 Intro.wav", "-o", "out", cwd=tmp_path)
    assert "out/01 Intro: is there already; --force" in again.stdout
    assert names(out) == {"01 Intro", "01 Intro (2)"}


def test_a_folder_is_separated_and_a_run_that_was_interrupted_goes_on(tmp_path):
    # given a folder of two songs in folders, and a text
    music = tmp_path / "music"
    for seed, folder in enumerate(("CD1", "CD2")):
        (music / folder).mkdir(parents=True)
        make_song(music / folder / "01 Intro.wav", 0.2, seed)
    (music / "notes.txt").write_text("notes")
    call = ("separate", "music", "--tracks", "vocals", "-o", "music/out")
    done = octet(*call, cwd=tmp_path)
    # then its songs lie as they lay in it, and the text is counted
    assert done.returncode == 0, done.stderr
    assert (music / "out" / "CD1" / "01 Intro" / "vocals.mp3").exists()
    assert (music / "out" / "CD2" / "01 Intro" / "vocals.mp3").exists()
    assert "1 file passed over" in done.stderr
    assert "2 songs: 2 separated, in " in done.stderr
    assert done.stdout.startswith("1 of 2  music/out/CD1/01 Intro: 1 track in ")
    # when one is missing, then the next run makes that one alone
    shutil.rmtree(music / "out" / "CD1")
    again = octet(*call, "--skip-done", cwd=tmp_path)
    assert [line.split(":")[0] for line in again.stdout.splitlines()] == [
        "1 of 2  music/out/CD1/01 Intro"
    ]
    assert "2 songs: 1 separated, 1 there already" in again.stderr
    # and other settings, or --force, make all again, one of them in place of the other
    other = octet(*call, "--overlap", "0.1", "--json", cwd=tmp_path)
    assert len(other.stdout.splitlines()) == 2
    forced = octet(*call, "--overlap", "0.1", "--force", "-q", cwd=tmp_path)
    assert (forced.returncode, forced.stdout, forced.stderr) == (0, "", "")
    assert len(separated(music / "out")) == 0
    assert {path.parent.parent.name for path in music.rglob("manifest.json")} == {"CD1", "CD2"}


def test_nothing_is_loaded_where_there_is_no_song(tmp_path):
    done = octet("separate", "none.mp3", "http://example.org/a.mp3", "--model", "x", cwd=tmp_path)
    assert done.returncode == 1
    missing, address = done.stderr.splitlines()
    assert missing.startswith("octet: none.mp3: there is no file none.mp3")
    assert "curl -sL http://example.org/a.mp3 | octet separate -" in address


def test_files_and_folders_are_called_as_asked(tmp_path):
    make_song(tmp_path / "Lied.wav", 0.2)
    call = ("separate", "Lied.wav", "--tracks", "vocals,drums")
    names_ = ("--layout", "{model}/{song}", "--filename", "{song} - {stem}")
    done = octet(*call, *names_, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "separated" / "pocket" / "Lied"
    assert names(folder) == {"Lied - vocals.mp3", "Lied - drums.mp3", "manifest.json"}
    # when they get other names, then the old files are gone
    octet(*call, "--layout", "{model}/{song}", cwd=tmp_path)
    assert names(folder) == {"vocals.mp3", "drums.mp3", "manifest.json"}


def test_two_stems_are_a_stem_and_the_song_without_it(tmp_path):
    # given a song, when it is separated as Demucs' users write it
    make_song(tmp_path / "song.wav", 1.5)
    call = ("separate", "-n", "pocket", "-d", "cpu", "--two-stems", "drums", "--float32")
    done = octet(*call, "--threads", "1", "song.wav", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "separated" / "song"
    assert names(folder) == {"drums.wav", "no_drums.wav", "manifest.json"}
    # then both sum to the song
    both = [whole(folder / f"{name}.wav") for name in ("drums", "no_drums")]
    assert np.max(np.abs(both[0])) > 1e-4
    assert np.max(np.abs(sum(both) - whole(tmp_path / "song.wav"))) < 1e-6


def test_a_part_of_a_song_has_a_folder_of_its_own(tmp_path):
    # given an MP3 of four seconds
    song(tmp_path, Encoding("mp3"), 4 * RATE)
    call = ("separate", "song.mp3", "--start", "1", "--end", "0:02.5", "--json")
    done = octet(*call, cwd=tmp_path)
    # then that part alone is separated, also as the original
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert manifest["song"]["excerpt"] == [1.0, 2.5]
    assert {one["samples"] for one in manifest["tracks"].values()} == {round(1.5 * RATE)}
    folder = tmp_path / "separated" / "song (0m1s-0m2.5s)"
    assert len(names(folder)) == 9
    assert whole(folder / "original.mp3").shape[1] == round(1.5 * RATE)
    # and it is there already the next time
    again = octet(*call[:-1], cwd=tmp_path)
    assert "is there already" in again.stdout
    late = octet("separate", "song.mp3", "--start", "10", cwd=tmp_path)
    assert "ends before 0:10.0" in late.stderr


def test_a_command_line_that_makes_no_sense_is_one_line(tmp_path):
    for call, says in (
        (("separate",), "missing argument"),
        (("separate", "--modle", "x", "a.mp3"), "--model"),
        (("separate", "--bits", "many", "a.mp3"), "--bits"),
        (("[/foo]",), "no such command '[/foo]'. octet -h"),
    ):
        done = octet(*call, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("octet: ")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
    models = octet("separate", "--list-models", cwd=tmp_path, OCTET_MODLE="x")
    assert models.stdout.splitlines()[1].startswith("pocket")
    assert "OCTET_MODLE is no setting; OCTET_MODEL is one" in models.stderr
    assert octet("-V", cwd=tmp_path).stdout.startswith("octet 0.")
