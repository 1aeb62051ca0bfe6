from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from octet.audio.files import SourceFile
from octet.audio.song import Limits
from octet.errors import LimitError, NotAudioError
from octet.formats import Encoding
from tests.audio.waves import song, whole


def refused(path: Path, what: str) -> None:
    with pytest.raises(NotAudioError, match=what) as caught:
        whole(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    refused(tmp_path / "missing.mp3", "there is no file")


def test_a_folder(tmp_path):
    refused(tmp_path, "is a folder")


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.mp3").touch()

    refused(tmp_path / "empty.mp3", "is empty")


def test_a_name_that_no_file_can_have():
    refused(Path("song\0.mp3"), "cannot be the name of a file")


def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")

    refused(tmp_path / "pipe.mp3", "is a pipe or a device")


def test_a_device_and_a_socket(tmp_path):
    refused(Path("/dev/zero"), "is a pipe or a device")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        refused(tmp_path / "socket", "is a pipe or a device")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = song(tmp_path, Encoding("wav"), 100)
    path.chmod(0)

    refused(path, "may not be read")


def test_a_file_beyond_the_limit(tmp_path):
    path = song(tmp_path, Encoding("wav"), 1000)

    with pytest.raises(LimitError, match="3,000 are allowed"):
        whole(path, Limits(max_bytes=3000))


def test_the_hash_is_that_of_all_bytes(tmp_path):
    path = song(tmp_path, Encoding("wav"), 400_000)

    with SourceFile(path, Limits()) as source:
        assert source.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
