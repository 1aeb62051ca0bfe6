"""The local folder: what survives a kill, and what stays inside it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from octet.errors import ObjectMissingError, SettingError, StorageError
from octet.storage.folder import FolderBucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from octet.storage.folder import FolderBucket

async def write():
    bucket = FolderBucket(Path(sys.argv[1]), "bucket")
    await bucket.ensure()
    for turn in range(10**6):
        mark = b"%08d" % turn
        await asyncio.gather(
            *(bucket.put_bytes(f"deep/{key}", mark * 40_000, content_type=f"audio/x-{turn}")
              for key in "abc")
        )
        print(turn, flush=True)

asyncio.run(write())
"""


def writing(folder: Path) -> list[str]:
    """What is being written, or was when somebody died."""
    return sorted(os.listdir(folder / ".octet" / "new"))


def start_writer(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def test_a_killed_writer_leaves_the_old_object_or_the_new(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    chance = random.Random(7)
    for _ in range(6):
        writer = start_writer(tmp_path / "bucket")
        assert writer.stdout is not None
        await asyncio.to_thread(writer.stdout.readline)
        await asyncio.sleep(chance.uniform(0, 0.2))
        writer.kill()
        told = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()

        for key in "abc":
            data = await bucket.get_bytes(f"deep/{key}")
            assert data == data[:8] * 40_000
            if told:
                assert int(data[:8]) >= told[-1]
            assert (await bucket.head(f"deep/{key}")).content_type.startswith("audio/x-")
        await bucket.ensure()
        assert writing(tmp_path / "bucket") == []
    assert sorted([e.key async for e in bucket.list()]) == ["deep/a", "deep/b", "deep/c"]


async def test_what_a_living_writer_writes_is_spared(tmp_path: Path) -> None:
    bucket, other = (FolderBucket(tmp_path / "bucket", "bucket") for _ in range(2))
    gate = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"first "
        await gate.wait()
        yield b"second"

    put = asyncio.create_task(bucket.put_stream("key", slowly()))
    end = time.monotonic() + 10
    while not (tmp_path / "bucket/.octet/new").exists() or not writing(tmp_path / "bucket"):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    await other.ensure()
    gate.set()
    await put

    assert await other.get_bytes("key") == b"first second"
    assert writing(tmp_path / "bucket") == []


@pytest.mark.parametrize(
    "key",
    [".octet/lock", ".octet/about/x.json", ".octet", "a#1", "deep/a#22", "x" * 201, "a\\..\\b"],
)
async def test_names_that_would_clash_with_its_own_are_refused(tmp_path: Path, key: str) -> None:
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    with pytest.raises(SettingError):
        await bucket.put_bytes(key, b"1")
    with pytest.raises(SettingError):
        await bucket.get_bytes(key)
    with pytest.raises(SettingError):
        await bucket.delete(key)


async def test_hostile_keys_touch_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    for key in ("../secret", str(tmp_path / "secret"), "a/../../secret", "./../secret"):
        with pytest.raises(SettingError):
            await bucket.get_bytes(key)
        with pytest.raises(SettingError):
            await bucket.put_bytes(key, b"changed")
    assert (tmp_path / "secret").read_bytes() == b"secret"


async def test_an_object_cannot_be_a_folder_too(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    await bucket.put_bytes("a", b"1")
    with pytest.raises(StorageError, match="failed to put 'a/b'"):
        await bucket.put_bytes("a/b", b"2")
    await bucket.put_bytes("c/d", b"3")
    with pytest.raises(StorageError, match="failed to put 'c'"):
        await bucket.put_bytes("c", b"4")
    for key in ("a/b", "c"):
        with pytest.raises(ObjectMissingError):
            await bucket.get_bytes(key)
        with pytest.raises(ObjectMissingError):
            await bucket.head(key)
        await bucket.delete(key)
    assert await bucket.get_bytes("a") == b"1"
    assert await bucket.get_bytes("c/d") == b"3"
    assert writing(tmp_path / "bucket") == []


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="the folder bucket"):
        FolderBucket(tmp_path / "file" / "bucket", "bucket")


@pytest.mark.skipif(sys.platform != "linux", reason="a namespace of mounts is Linux' own")
async def test_a_full_disk_is_an_error_of_its_own(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from octet.errors import OutputError, StorageFullError
from octet.storage.folder import FolderBucket

async def main():
    bucket = FolderBucket(Path(sys.argv[1]), "bucket")
    await bucket.put_bytes("key", b"o" * 500_000)
    room = await bucket.room()
    assert room < 600_000, room
    async def chunks():
        for _ in range(4):
            yield b"x" * 500_000
    for put in (bucket.put_bytes("key", b"x" * 900_000), bucket.put_stream("key", chunks())):
        try:
            await put
        except StorageFullError as error:
            print(error.message, error.hint, sep=". ")
    assert await bucket.room() == room
    try:
        await bucket.download("key", Path(sys.argv[1]) / "first")
        await bucket.download("key", Path(sys.argv[1]) / "second")
    except OutputError as error:
        print(error.message.rpartition("/")[2])
    assert await bucket.get_bytes("key") == b"o" * 500_000

asyncio.run(main())
"""
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}/small"
    command = f'{mount} || exit 77; exec {sys.executable} -c "$0" {tmp_path}/small/bucket'
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "-rm", "sh", "-c", command, program],
        capture_output=True,
        text=True,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no small disk can be mounted here")
    full = "the folder bucket failed to put 'key': No space left on device"
    assert done.stdout.splitlines() == [
        f"{full}. free space there, or raise the quota",
        f"{full}. free space there, or raise the quota",
        "second: No space left on device",
    ], done.stderr


async def test_a_file_system_with_small_files_leaves_the_old_object(tmp_path: Path) -> None:
    program = """
import asyncio, resource, signal, sys
from pathlib import Path
from octet.errors import ObjectTooLargeError
from octet.storage.folder import FolderBucket

async def main():
    bucket = FolderBucket(Path(sys.argv[1]), "bucket")
    await bucket.put_bytes("key", b"old")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    async def chunks():
        for _ in range(4):
            yield b"x" * 50_000
    for put in (bucket.put_bytes("key", b"x" * 200_000), bucket.put_stream("key", chunks())):
        try:
            await put
        except ObjectTooLargeError as error:
            print(error.message)
    print(await bucket.get_bytes("key"))

asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(tmp_path / "bucket")],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "the folder bucket failed to put 'key': File too large",
        "the folder bucket failed to put 'key': File too large",
        "b'old'",
    ]
    assert writing(tmp_path / "bucket") == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a descriptor is")
async def test_what_is_staged_costs_one_synchronisation_and_what_lasts_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a bucket whose folders are there, and a count of what is brought to the disk
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    await bucket.ensure()
    await bucket.put_bytes("queue/one", b"1", content_type="audio/wav")
    await bucket.put_bytes(".staging/uploads/one", b"1", content_type="audio/wav")
    synchronised: list[str] = []
    really = os.fsync

    def counted(descriptor: int) -> None:
        synchronised.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    # when something is staged, then its bytes are brought there, and not its name
    await bucket.put_bytes(".staging/uploads/two", b"2", content_type="audio/wav")
    assert len(synchronised) == 1
    assert f"{tmp_path}/bucket/.octet/new/" in synchronised[0]
    # when it goes where it belongs, then so does what it is called and what is said about it
    await bucket.copy(".staging/uploads/two", "queue/two")
    assert f"{tmp_path}/bucket/queue" in synchronised
    assert f"{tmp_path}/bucket/.octet/about/queue" in synchronised
    assert (await bucket.head("queue/two")).content_type == "audio/wav"
