"""A hostile file reaches nothing but itself."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from octet.audio.container import DECODERS, DEMUXERS, _limit_allocations
from octet.errors import NotAudioError
from octet.formats import Encoding
from tests.audio.waves import encoded, song, wav_bytes, whole


@pytest.fixture
def listener():
    with socket.socket() as waiting:
        waiting.bind(("127.0.0.1", 0))
        waiting.listen()
        waiting.settimeout(0.2)
        yield waiting


def playlists(address: tuple[str, int], other: Path) -> dict[str, str]:
    host, port = address
    url = f"http://{host}:{port}/song.mp3"
    segments = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "m3u": f"#EXTM3U\n{url}\n{other}\n",
        "hls of an address": segments.format(url),
        "hls of a file": segments.format(other),
        "concat of a file": f"ffconcat version 1.0\nfile '{other}'\n",
        "concat of an address": f"ffconcat version 1.0\nfile '{url}'\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"'
        f' type="static"><BaseURL>{url}</BaseURL></MPD>',
        "sdp": f"v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\n"
        f"m=audio {port} RTP/AVP 0\n",
    }


@pytest.mark.parametrize("kind", playlists(("", 0), Path()))
@pytest.mark.parametrize("ending", ["mp3", "m3u8", "wav", "txt"])
def test_a_playlist_is_refused_and_nothing_in_it_is_opened(tmp_path, listener, kind, ending):
    other = song(tmp_path, Encoding("wav"), 5000)
    path = tmp_path / f"list.{ending}"
    path.write_text(playlists(listener.getsockname(), other)[kind])

    with pytest.raises(NotAudioError):
        whole(path)

    with pytest.raises(TimeoutError):
        listener.accept()


def test_the_lists_name_what_ffmpeg_has():
    assert set(DEMUXERS) <= av.formats_available | {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
    assert set(DECODERS) <= av.codecs_available


@pytest.mark.parametrize(
    "name", ["hls", "concat", "dash", "image2", "sdp", "rtsp", "lavfi", "srt", "ffmetadata"]
)
def test_nothing_that_reads_other_files_is_allowed(name):
    assert name not in DEMUXERS


@pytest.fixture
def fresh_limit():
    _limit_allocations.cache_clear()
    yield
    _limit_allocations.cache_clear()


@pytest.mark.usefixtures("fresh_limit")
def test_this_pyav_lets_ffmpegs_memory_be_limited(caplog):
    _limit_allocations()

    assert not caplog.records, "PyAV's extension module no longer resolves av_max_alloc"


@pytest.mark.usefixtures("fresh_limit")
def test_a_pyav_whose_memory_cannot_be_limited_is_named_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr(av._core, "__file__", "/nowhere/_core.so")

    _limit_allocations()

    assert f"cannot be limited with PyAV {av.__version__}" in caplog.text


def test_a_small_file_that_asks_for_gigabytes_gets_none(tmp_path):
    # given a WAV whose list of facts says that it has 3 GB, and the title in it 1.7
    facts = b"LIST" + struct.pack("<I", 0xBA000000) + b"INFOINAM" + struct.pack("<I", 0x67000000)
    data = wav_bytes(np.zeros((1000, 2), np.int16))
    path = tmp_path / "song"
    path.write_bytes(data[:36] + facts + data[36:])

    # when a process of its own reads it
    code = (
        "import resource, sys; from octet.audio.decode import probe\n"
        "from octet.errors import AudioError\n"
        "try: probe(sys.argv[1])\n"
        "except AudioError: pass\n"
        # Linux counts the parent's peak into getrusage.
        "most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "status = open('/proc/self/status').read() if sys.platform == 'linux' else ''\n"
        "print(status.partition('VmHWM:')[2].split()[0] if status else most)"
    )
    command = [sys.executable, "-c", code, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    # then that has not grown
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(ran.stdout) * unit < 400 * 1024**2


def test_an_mp3_of_a_few_frames_is_read_though_ffmpeg_takes_it_for_nothing(tmp_path):
    # given short songs in noise, some of which FFmpeg does not know for MP3 by their frames
    path, unknown = tmp_path / "song.mp3", 0
    for seed in range(395, 410):
        noise = np.random.default_rng(seed).integers(-3000, 3000, 1600, np.int16)
        encoded(path, np.stack((noise, noise)) / np.float32(32768), Encoding("mp3"), 8000)
        try:
            av.open(str(path)).close()
        except av.InvalidDataError:
            unknown += 1

        # when they are read, then they are whole, for they name themselves
        assert whole(path).shape == (2, 1600)
    assert unknown, "an FFmpeg that knows them all needs no help"
