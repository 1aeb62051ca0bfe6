"""What seems to be audio, and what does not."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.audio.encode import Encoder
from octet.errors import NotAudioError
from octet.formats import FORMATS, Encoding
from octet.intake.sniff import HEAD, sniff
from tests.api.songs import song

if TYPE_CHECKING:
    from pathlib import Path


def wav() -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes(bytes(200))
        return file.getvalue()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (song(1), "audio/mpeg"),
        (song(1, 417), "audio/mpeg"),
        (bytes(500) + song(1), "audio/mpeg"),
        (b"ID3\x04" + bytes(100), "audio/mpeg"),
        (wav(), "audio/wav"),
        (b"fLaC" + bytes(100), "audio/flac"),
        (b"OggS" + bytes(100), "audio/ogg"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(100), "audio/mp4"),
        (b"FORM\x00\x00\x00\x20AIFF" + bytes(100), "audio/aiff"),
        (b"\x1a\x45\xdf\xa3" + bytes(100), "audio/webm"),
        ((b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)) * 3, "audio/aac"),
        ((b"\x47" + bytes(187)) * 3, "video/mp2t"),
        (b"\x0b\x77\xd2\x31" + bytes(100), "audio/ac3"),
        (b"\x7f\xfe\x80\x01" + bytes(100), "audio/vnd.dts"),
        (b"\x00\x00\x01\xba" + bytes(100), "video/mpeg"),
        (b"\x80\x39\xff\xd8\xf8\x72\x6f\xba" + bytes(100), "audio/vnd.dolby.mlp"),
        ((b"\xd2" + bytes(32)) * 50, "audio/gsm"),
    ],
)
def test_audio(head: bytes, kind: str) -> None:
    assert sniff(head[:HEAD], whole=True) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        b"plain text\n" * 1000,
        "Umlaute: äöü\n".encode("utf-16"),
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50,
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 50,
        b"%PDF-1.7\n" + bytes(range(256)) * 50,
        b"PK\x03\x04" + bytes(range(256)) * 50,
        b"RIFF\x00\x00\x00\x00WEBP" + bytes(100),
        b"\xff\xff\xff\xff" * 500,
        b"\xff\xfb",
    ],
)
def test_not_audio(head: bytes) -> None:
    with pytest.raises(NotAudioError):
        sniff(head, whole=True)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"MThd" + bytes(100), "a MIDI file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"DSD " + bytes(100), "DSD sound"),
    ],
)
def test_what_is_not_read_is_named(head: bytes, kind: str) -> None:
    with pytest.raises(NotAudioError, match=kind):
        sniff(head, whole=True)


@pytest.mark.parametrize("name", FORMATS)
def test_what_octet_writes_it_accepts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "song"
    encoder = Encoder(path, Encoding(name), 44100)
    encoder.write(np.zeros((2 * FORMATS[name].streams, 44100), np.float32))
    encoder.close()
    data = path.read_bytes()
    assert sniff(data[:HEAD], whole=len(data) <= HEAD).startswith("audio/")
