"""A throwaway object store for tests: one node of Ceph with its S3 gateway, on loopback.

Nothing is kept: objects live in the memory of the storage daemon, and all daemons die with
the tests, however those end. The fixture is known to all tests by tests/conftest.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from octet.settings import ServiceSettings
from tests.servers import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PROGRAMS = ("radosgw", "ceph-mon", "ceph-osd")
INSTALL = "apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd"
ACCESS_KEY = "octet-test-key"
SECRET_KEY = "octet-test-secret"

_STARTS_WITHIN = 60.0


@dataclass(frozen=True)
class Ceph:
    """A running store."""

    port: int
    log: Path
    daemons: list[subprocess.Popen[bytes]]

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def settings(self, **changes: Any) -> ServiceSettings:
        """How to reach it, with buckets of their own for every call."""
        mark = uuid.uuid4().hex[:8]
        given = {
            "minio_endpoint": self.endpoint,
            "minio_access_key": ACCESS_KEY,
            "minio_secret_key": SECRET_KEY,
            "queue_bucket": f"queue-{mark}",
            "output_bucket": f"output-{mark}",
        }
        return ServiceSettings(**given | changes)

    def restart_gateway(self, pause: float) -> None:
        """Kills what answers, and starts it again after so many seconds; objects are kept."""
        self.daemons[-1].kill()
        self.daemons[-1].wait()
        time.sleep(pause)
        self.daemons[-1] = _daemon(self.log, "radosgw", "-n", "client.rgw")
        _wait_for(self.port, self.daemons, self.log)

    def admin(self, *arguments: str) -> None:
        """Runs radosgw-admin."""
        _run("radosgw-admin", "-c", str(self.log / "ceph.conf"), *arguments)

    def environment(self, settings: ServiceSettings) -> dict[str, str]:
        """The same as variables of the contract."""
        return {
            "MINIO_ENDPOINT": self.endpoint,
            "MINIO_ACCESS_KEY": ACCESS_KEY,
            "MINIO_SECRET_KEY": SECRET_KEY,
            "MINIO_SECURE": "false",
            "QUEUE_BUCKET": settings.queue_bucket,
            "OUTPUT_BUCKET": settings.output_bucket,
        }


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """The store, started once a test session."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed: {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Sockets of the daemons lie in this folder, and their paths must be short.
    with running_ceph(tmp_path_factory.mktemp("ceph")) as store:
        yield store


@contextlib.contextmanager
def running_ceph(folder: Path) -> Iterator[Ceph]:
    """Starts monitor, storage daemon and gateway; stops them at the end."""
    started: list[subprocess.Popen[bytes]] = []
    monitor, gateway = find_free_port(), find_free_port()
    config = folder / "ceph.conf"
    config.write_text(_configuration(folder, monitor, gateway))
    (folder / "keyring").touch()
    try:
        _start_cluster(folder, monitor, started)
        _run(
            *("radosgw-admin", "-c", str(config), "user", "create"),
            *("--uid", "octet", "--display-name", "octet"),
            *("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY),
        )
        started.append(_daemon(folder, "radosgw", "-n", "client.rgw"))
        _wait_for(gateway, started, folder)
        yield Ceph(gateway, folder, started)
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGKILL)
            process.wait()


def _start_cluster(folder: Path, port: int, started: list[subprocess.Popen[bytes]]) -> None:
    config, cluster, disk = str(folder / "ceph.conf"), str(uuid.uuid4()), str(uuid.uuid4())
    (folder / "monitor").mkdir()
    (folder / "disk").mkdir()
    map_file = str(folder / "monmap")
    _run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", _address(port), map_file)
    _run("ceph-mon", "-c", config, "-i", "a", "--mkfs", "--fsid", cluster, "--monmap", map_file)
    started.append(_daemon(folder, "ceph-mon", "-i", "a"))
    _run("ceph", "-c", config, "--connect-timeout", "30", "osd", "new", disk, "0")
    _run("ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", disk)
    started.append(_daemon(folder, "ceph-osd", "-i", "0"))


def _daemon(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [program, "-c", str(folder / "ceph.conf"), "-f", *arguments]
    if shutil.which("setpriv"):  # dies with the tests even if those are killed
        command = ["setpriv", "--pdeathsig", "KILL", *command]
    with (folder / f"{program}.out").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_STARTS_WITHIN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")


def _wait_for(port: int, started: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end:
        if any(process.poll() is not None for process in started):
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.out"))
    raise RuntimeError(f"Ceph did not start:\n{logs}")


def _address(port: int) -> str:
    return f"[v2:127.0.0.1:{port}]"


def _configuration(folder: Path, monitor: int, gateway: int) -> str:
    """The smallest cluster that works: one of everything, no keys, no waiting for others."""
    sections: dict[str, dict[str, object]] = {
        "global": {
            "mon host": _address(monitor),
            "public addr": "127.0.0.1",
            "cluster addr": "127.0.0.1",
            "ms bind ipv6": "false",
            "auth cluster required": "none",
            "auth service required": "none",
            "auth client required": "none",
            "ms mon client mode": "crc",
            "ms client mode": "crc",
            "paxos propose interval": "0.05",
            "paxos min wait": "0.02",
            "osd pool default size": "1",
            "osd pool default min size": "1",
            "osd pool default pg num": "1",
            "osd pool default pgp num": "1",
            "osd pool default pg autoscale mode": "off",
            "osd crush chooseleaf type": "0",
            "mon allow pool size one": "true",
            "run dir": folder,
            "log file": folder / "$name.log",
            "admin socket": "",
            "pid file": "",
            "keyring": folder / "keyring",
        },
        "mon": {"mon data": folder / "monitor", "mon data avail crit": "1"},
        "osd": {
            "osd data": folder / "disk",
            "osd objectstore": "memstore",
            "memstore device bytes": str(2 * 1024**3),
            "osd class update on start": "false",
        },
        "client": {
            "rgw frontends": f"beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1",
            "rgw run sync thread": "false",
            "rgw enable usage log": "false",
        },
    }
    lines = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items()), ""]
    return "\n".join(lines)
