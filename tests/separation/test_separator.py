"""From a song's file to its eight tracks: exact sums, lengths and starts, and nothing left over."""

import hashlib
import json
import os
import subprocess
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from octet.audio.decode import probe
from octet.audio.encode import Encoder
from octet.audio.recording import Recording
from octet.errors import CancelledError, ModelError, NotAudioError, OutputError, SettingError
from octet.formats import Encoding
from octet.separation.model import Passthrough
from octet.separation.separator import Separator
from octet.tracks import SAME_SAMPLES, STEMS, TRACKS, folder_name
from tests.audio.test_stem import heard
from tests.separation.sources import Shares

FORMATS = ("mp3", "flac", "wav", "ogg", "opus", "m4a")


def music(samples: int, rate: int = 44_100, seed: int = 3) -> np.ndarray:
    """Chords, a click every half second, and some noise: float32 of shape (2, samples)."""
    time = np.arange(samples) / rate
    chord = sum(np.sin(2 * np.pi * f * time) for f in (110.0, 220.5, 331.0, 1760.0))
    click = np.exp(-((time * 2) % 1) * 60)
    noise = np.random.default_rng(seed).standard_normal((2, samples))
    return np.asarray(0.08 * chord + 0.3 * click * noise + 0.01 * noise, np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 44_100, **options) -> Path:
    encoder = Encoder(path, Encoding(path.suffix[1:], **options), rate, tags={"title": "Test"})
    encoder.write(samples)
    encoder.close()
    return path


def read(path: Path, folder: Path) -> np.ndarray:
    with Recording.read_song(path, folder) as recording:
        return recording.read(0, recording.samples)


def level(signal: np.ndarray) -> float:
    """Energy in dB."""
    return float(10 * np.log10(np.sum(signal.astype(np.float64) ** 2) + 1e-30))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / "song.wav", music(100_003), bits=16)


@pytest.mark.parametrize("kind", FORMATS)
def test_all_tracks_have_the_songs_length_and_start(song, tmp_path, kind):
    # given a song, when it is separated into files of any format
    receipt = Separator(Shares(), format=kind).separate(song, tmp_path / "out")
    # then there are exactly the eight tracks and the manifest
    names = {f"{track}.{kind}" for track in TRACKS} | {"manifest.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    # and each decodes to the song's length (at the format's own rate), lined up with the song
    mix = read(song, tmp_path)
    for track in TRACKS:
        decoded = read(tmp_path / "out" / f"{track}.{kind}", tmp_path)
        assert decoded.shape[1] == receipt.tracks[track].samples
        if receipt.tracks[track].rate == 44_100:
            assert decoded.shape[1] == 100_003
            shift = np.argmax(np.correlate(mix[0, 1000:41_000], decoded[0, 1100:40_900], "valid"))
            assert shift == 100
    assert receipt.null_db < -90


def test_the_four_stems_sum_to_the_song(song, tmp_path):
    # given a model whose estimate of `other` is far off, when the tracks are written as floats
    receipt = Separator(Shares(), format="wav", bits=32).separate(song, tmp_path / "out")
    tracks = {name: read(tmp_path / "out" / f"{name}.wav", tmp_path) for name in TRACKS}
    mix = read(song, tmp_path)
    # then the four stems and `full` null against the song by more than 90 dB
    total = np.sum([tracks[name] for name in STEMS], axis=0)
    assert level(total - mix) - level(mix) < -120
    assert level(tracks["full"] - mix) - level(mix) < -120
    assert receipt.null_db < -120
    # the model's estimates are not rescaled
    assert np.allclose(tracks["vocals"], 0.5 * mix, atol=1e-7)
    assert np.array_equal(tracks["acapella"], tracks["vocals"])
    # and the sums are the sums
    assert np.allclose(tracks["instrumental"], mix - tracks["vocals"], atol=1e-6)
    assert np.array_equal(tracks["original"], mix)


def test_rates_and_bits_stay(tmp_path):
    # given a song at 96 kHz and 24 bits, with a tone above what the model can hear
    samples = music(96_000, 96_000)
    above = np.sin(2 * np.pi * 30_000 * np.arange(96_000) / 96_000).astype(np.float32) * 0.1
    song = write(tmp_path / "high.flac", samples + above, 96_000, bits=24)
    # when it is separated into a lossless format
    receipt = Separator(Shares(), format="flac").separate(song, tmp_path / "out")
    # then rate, bits and length are the song's own
    for name in TRACKS:
        info = probe(tmp_path / "out" / f"{name}.flac")
        assert (info.rate, info.bits) == (96_000, 24)
        assert receipt.tracks[name].samples == 96_000
    # and what lies above the model's range is in `other`, so that the sum is still exact
    tracks = {name: read(tmp_path / "out" / f"{name}.flac", tmp_path) for name in TRACKS}
    total = np.sum([tracks[name] for name in STEMS], axis=0)
    assert np.max(np.abs(total - read(song, tmp_path))) < 4 * 2**-23

    def tone(signal: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(signal[0])[30_000]))

    assert tone(tracks["vocals"]) < 0.001 * tone(tracks["other"])


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("length", [1, 2, 441, 48_001])
def test_any_rate_and_length_comes_back_exactly(tmp_path, rate, length):
    # given songs at other rates, down to a single sample
    song = write(tmp_path / "song.wav", music(length, rate), rate, bits=24)
    # when they are separated, then every track has exactly the song's length
    receipt = Separator(Shares(), format="wav").separate(song, tmp_path / "out")
    assert {track.samples for track in receipt.tracks.values()} == {length}
    assert receipt.song.samples == length
    assert receipt.null_db < -90


def test_mono_and_surround(tmp_path):
    # given a mono song and one in 5.1
    tone = (music(20_000)[:1] * 20_000).astype(np.int16)
    for channels in (1, 6):
        path = tmp_path / f"{channels}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(44_100)
            file.writeframes(np.repeat(tone.T, channels, axis=1).tobytes())
        # when they are separated
        out = tmp_path / f"out{channels}"
        receipt = Separator(Shares(), format="wav", bits=32).separate(path, out)
        # then the tracks are stereo, of the same length, and both channels are equal
        vocals = read(out / "vocals.wav", tmp_path)
        assert vocals.shape == (2, 20_000)
        assert np.array_equal(vocals[0], vocals[1])
        assert receipt.song.channels == channels
        assert receipt.null_db < -120


def test_silence_stays_silent(tmp_path):
    song = write(tmp_path / "silence.flac", np.zeros((2, 50_000), np.float32))
    receipt = Separator(Shares(), format="wav").separate(song, tmp_path / "out")
    for name in TRACKS:
        assert not read(tmp_path / "out" / f"{name}.wav", tmp_path).any()
    assert receipt.null_db == -200
    assert receipt.tracks["vocals"].rms_db == -200


def test_an_mp3_goes_out_with_its_own_bytes(tmp_path):
    # given an MP3
    song = write(tmp_path / "song.mp3", music(50_000), bitrate=192)
    # when it is separated into MP3, then `original` is the very file
    receipt = Separator(Shares()).separate(song, tmp_path / "out")
    assert (tmp_path / "out" / "original.mp3").read_bytes() == song.read_bytes()
    assert receipt.tracks["original"].sha256 == receipt.song.sha256
    # and into another format, it is encoded
    Separator(Shares(), format="flac").separate(song, tmp_path / "flac")
    assert read(tmp_path / "flac" / "original.flac", tmp_path).shape == (2, 50_000)


@pytest.mark.parametrize(("track", "as_in"), SAME_SAMPLES.items())
def test_what_holds_the_same_sound_is_encoded_once(tmp_path, track, as_in):
    # given a song with tags and MP3 as the format, where two tracks hold the same sound
    song = write(tmp_path / "song.flac", music(50_000))
    receipt = Separator(Shares()).separate(song, tmp_path / "out")
    # when both are read
    one, other = (tmp_path / "out" / f"{name}.mp3" for name in (as_in, track))
    # then they sound the same, and each has its own title
    assert np.array_equal(read(one, tmp_path), read(other, tmp_path))
    assert probe(one).tags["title"] == f"Test ({as_in})"
    assert probe(other).tags["title"] == f"Test ({track})"
    assert receipt.tracks[as_in].sha256 != receipt.tracks[track].sha256
    # and encoded alone, from its own samples, the track sounds so too
    Separator(Shares(), tracks=[track]).separate(song, tmp_path / "alone")
    alone = read(tmp_path / "alone" / f"{track}.mp3", tmp_path)
    assert np.abs(alone - read(other, tmp_path)).max() < 1e-3


def test_the_full_mix_of_an_mp3_is_the_sum_of_its_stems(tmp_path):
    # given an MP3, whose own bytes are the original
    song = write(tmp_path / "song.mp3", music(50_000), bitrate=192)
    # when it is separated into MP3, then `full` is encoded again: it starts with the stems
    receipt = Separator(Shares()).separate(song, tmp_path / "out")
    assert receipt.tracks["full"].samples == receipt.tracks["vocals"].samples
    assert (tmp_path / "out" / "full.mp3").read_bytes() != song.read_bytes()
    assert probe(tmp_path / "out" / "full.mp3").tags["title"].endswith("(full)")


def test_the_manifest_says_what_is_there(song, tmp_path):
    # given a separation
    receipt = Separator(Shares(), format="flac").separate(song, tmp_path / "out")
    # when its manifest is read
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    # then it describes song, model and settings
    assert written["version"] == 2
    assert written["outcome"] == "complete"
    assert written["reason"] is None
    assert written["song"]["sha256"] == hashlib.sha256(song.read_bytes()).hexdigest()
    assert written["song"]["samples"] == 100_003
    assert written["song"]["codec"] == "pcm_s16le"
    assert written["model"]["name"] == "shares"
    assert written["settings"]["format"] == "flac"
    # and every track as it lies there
    assert list(written["tracks"]) == list(TRACKS)
    for track in written["tracks"].values():
        data = (tmp_path / "out" / track["key"]).read_bytes()
        assert (track["bytes"], track["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert json.loads(receipt.to_json()) == written


def test_clipped_samples_are_counted(tmp_path):
    # given a song at full scale and a model that overdoes it, so that tracks go beyond it
    song = write(tmp_path / "loud.wav", np.full((2, 5_000), 0.9, np.float32), bits=16)
    source = Shares(drums=0.0, bass=0.0, other=0.0, vocals=1.5)
    receipt = Separator(source, format="wav", bits=16).separate(song, tmp_path / "out")
    # then the clipped samples of each track are in the manifest
    assert receipt.tracks["vocals"].clipped == 10_000
    assert receipt.tracks["other"].clipped == 0
    assert receipt.clipped == 20_000  # vocals and acapella
    # and floating point keeps them
    floats = Separator(source, format="wav", bits=32).separate(song, tmp_path / "floats")
    assert floats.clipped == 0
    assert read(tmp_path / "floats" / "vocals.wav", tmp_path).max() > 1.3


def test_only_the_tracks_that_were_asked_for(song, tmp_path):
    separator = Separator(Shares(), tracks=["instrumental", "vocals"])
    separator.separate(song, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"vocals.mp3", "instrumental.mp3", "manifest.json"}
    with pytest.raises(SettingError, match="no track 'banjo'"):
        Separator(Shares(), tracks=["banjo"])


def test_further_sources_become_further_tracks(song, tmp_path):
    # given a model with a guitar
    shares = {"drums": 0.25, "bass": 0.1, "other": 0.0, "vocals": 0.5, "guitar": 0.05}
    separator = Separator(Shares(**shares), format="wav", bits=32)
    # when a song is separated, then there are a track of it, which stays in `other`, and the rest
    separator.separate(song, tmp_path / "out")
    mix = read(song, tmp_path)
    assert np.allclose(read(tmp_path / "out" / "guitar.wav", tmp_path), 0.05 * mix, atol=1e-6)
    assert np.allclose(read(tmp_path / "out" / "rest.wav", tmp_path), 0.1 * mix, atol=1e-6)
    assert np.allclose(read(tmp_path / "out" / "other.wav", tmp_path), 0.15 * mix, atol=1e-6)


def test_a_second_run_replaces_the_first(song, tmp_path):
    # given the tracks of one song
    out = tmp_path / "out"
    Separator(Shares()).separate(song, out)
    (out / "notes.txt").write_text("mine")
    other = write(tmp_path / "other.wav", music(30_000, seed=9), bits=16)
    # when another is separated into the same folder
    receipt = Separator(Passthrough()).separate(other, out)
    # then all files are of the second, and what was there besides stays
    for name, track in receipt.tracks.items():
        digest = hashlib.sha256((out / track.key).read_bytes()).hexdigest()
        assert digest == track.sha256, name
    assert (out / "notes.txt").read_text() == "mine"
    # and a run with fewer tracks in another format leaves none of them
    Separator(Shares(), format="flac", tracks=["vocals"]).separate(song, out)
    assert {path.name for path in out.iterdir()} == {"vocals.flac", "manifest.json", "notes.txt"}


def test_a_cancelled_separation_leaves_nothing(song, tmp_path):
    # given somebody who cancels in the middle
    seen: list[float] = []
    separator = Separator(Shares())
    with pytest.raises(CancelledError):
        separator.separate(
            song, tmp_path / "out", on_progress=seen.append, cancelled=lambda: len(seen) > 2
        )
    # then neither the folder nor anything half-written is there
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav"}
    # and progress only went forward
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 1


def test_an_error_in_the_middle_leaves_nothing(song, tmp_path):
    class Broken(Shares):
        def stems(self, song, *passes):
            yield next(iter(super().stems(song, *passes)))
            raise NotAudioError("the middle is missing")

    with pytest.raises(NotAudioError):
        Separator(Broken()).separate(song, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav"}


def test_a_file_in_the_way_is_explained(song, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="a file of that name is in the way"):
        Separator(Shares()).separate(song, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file"
    with pytest.raises(OutputError, match="a file of that name is in the way"):
        Separator(Shares()).separate(song, tmp_path / "out" / "deeper")


def test_a_full_disk_is_explained_and_left_clean(tmp_path):
    # given a disk of one megabyte
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be made by root, where mounting is allowed")
    try:
        song = write(tmp_path / "long.wav", music(400_000), bits=16)
        # when a song is separated onto it that does not fit
        threads = threading.active_count()
        with pytest.raises(OutputError, match="disk is full"):
            Separator(Shares(), format="wav").separate(song, disk / "out")
        # then nothing is left on it, and no thread outlives the error
        assert list(disk.iterdir()) == []
        assert threading.active_count() == threads
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("song.mp3", "song"),
        ("My Song (live).tar.mp3", "My Song (live).tar"),
        ("Übung – 練習 🎵.flac", "Übung – 練習 🎵"),
        ("he said \"hi\" & 'bye'; $(x).mp3", "he said \"hi\" & 'bye'; $(x)"),
        ("-rf.mp3", "-rf"),
        (".mp3", ".mp3"),
        ("...mp3", "song"),
        ("  spaced  .mp3", "spaced"),
    ],
)
def test_the_folder_has_the_songs_name(file, folder):
    assert folder_name(Path("somewhere") / file) == folder


def test_long_names_leave_room_for_a_number():
    name = folder_name(Path("練" * 83 + ".mp3"))
    assert len(name.encode()) == 240
    assert name == "練" * 80


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_a_stem_file_holds_the_song_and_its_stems(tmp_path, rate, channels):
    # given a song, as DJ programs take it or not
    song = tmp_path / "Das Lied.wav"
    samples = np.rint(music(100_000, rate)[:channels].T * 32767).astype(np.int16)
    with wave.open(str(song), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    # when a stem file is made of it, without loss
    receipt = Separator(Shares(), format="stem", bits=24).separate(song, tmp_path / "out")
    # then it is the only file, by the song's name, and the manifest says what is in it
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"Das Lied.stem.mp4", "manifest.json"}
    assert {name: track.key for name, track in receipt.tracks.items()} == {
        "stem": "Das Lied.stem.mp4"
    }
    assert (receipt.tracks["stem"].rate, receipt.settings["bits"]) == (44_100, 24)
    # and in it are song, drums, bass, other and vocals, of the same length, in both channels
    mix, *stems = (sound / 2.0**31 for sound in heard(tmp_path / "out" / "Das Lied.stem.mp4"))
    assert mix.shape == (2, receipt.tracks["stem"].samples)
    for stem, share in zip(stems, (0.25, 0.125, 0.125, 0.5), strict=True):
        error = stem - share * mix
        # what lies above the model's range is in `other`, at a rate that has more than that
        exact = np.abs(error).max() < 4 * 2.0**-23
        assert exact if rate == 44_100 else level(error) < level(mix) - 25
    assert np.array_equal(np.sum(stems, axis=0), mix)
    assert receipt.null_db < -120


def test_a_stem_file_needs_all_four_stems_and_nothing_else(tmp_path):
    # given a model without a bass, when a stem file is asked for, then no song is touched
    with pytest.raises(ModelError, match="no bass"):
        Separator(Shares(vocals=0.5, drums=0.5), format="stem")
    # and a track of other formats is not in it
    with pytest.raises(SettingError, match="no track 'vocals'"):
        Separator(Shares(), format="stem", tracks=["vocals"])
    assert Separator(Shares(), format="stem", tracks=["stem"]).recipe.tracks == ()
