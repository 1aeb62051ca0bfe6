"""Children end with their parent, by the kernel's signal and by the watcher's pipe alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from octet import processes
from octet.processes import start_child

if TYPE_CHECKING:
    from collections.abc import Callable

# Starts a child that says its process id and waits; then waits to be killed itself.
PARENT = """
import sys, time
from octet import processes
processes.KERNEL_TELLS = sys.argv[1] == "True"
processes.start_child([sys.executable, "-c", sys.argv[2]], number=int(sys.argv[3]))
time.sleep(600)
"""

CHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", file=sys.stderr), sys.exit()))
print(os.getpid(), file=sys.stderr, flush=True)
time.sleep(600)
"""


@pytest.fixture(params=[True, False], ids=["kernel", "pipe"])
def kernel_tells(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Either way of learning of the parent's end; the second is all that macOS has."""
    if request.param and sys.platform != "linux":
        pytest.skip("only Linux sends a signal at the parent's end")
    monkeypatch.setattr(processes, "KERNEL_TELLS", request.param)
    return bool(request.param)


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    """Whether a process has ended; one that its parent has not waited for has ended too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_when_its_parent_is_killed(kernel_tells: bool, number: signal.Signals) -> None:
    # given a parent with a child
    command = [sys.executable, "-c", PARENT, str(kernel_tells), CHILD, str(int(number))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        child = int(parent.stderr.readline())

        # when the parent is killed
        parent.kill()

        # then the child gets the signal, and nobody holds its output open any more
        assert parent.stderr.read() == ("" if number == signal.SIGKILL else "asked to end\n")
    assert eventually(lambda: gone(child))


@pytest.mark.usefixtures("kernel_tells")
def test_a_child_keeps_its_process_id_and_its_status() -> None:
    code = "import os, sys; print(os.getpid(), flush=True); sys.exit(7)"
    read, write = os.pipe()
    with os.fdopen(read) as output, os.fdopen(write, "wb") as end:
        child = start_child([sys.executable, "-c", code], output=end)
        end.close()
        assert output.read() == f"{child.pid}\n"
    assert child.wait() == 7


@pytest.mark.usefixtures("kernel_tells")
def test_a_child_that_has_a_descriptor_is_its_only_holder() -> None:
    # given a child that holds one end of a pipe, and nothing else
    read, write = os.pipe()
    child = start_child([sys.executable, "-c", CHILD], pass_fds=[write])
    os.close(write)

    # when it is killed
    child.kill()
    child.wait()

    # then the other end sees it at once, though the watcher has not noticed yet
    assert os.read(read, 1) == b""
    os.close(read)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_the_watcher_ends_with_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "KERNEL_TELLS", False)
    child = start_child([sys.executable, "-c", CHILD])
    assert eventually(lambda: len(children_of(child.pid)) == 1)
    (watcher,) = children_of(child.pid)

    child.terminate()
    child.wait()

    assert eventually(lambda: gone(watcher))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
def test_on_linux_there_is_no_watcher() -> None:
    child = start_child(["/bin/sleep", "600"])
    assert eventually(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n")
    assert children_of(child.pid) == []
    child.kill()
    child.wait()
