"""Child processes that do not outlive their parent.

A child is started through a tether: a small interpreter that arranges for the child's end and
then becomes the child's program, under the same process id. On Linux the kernel sends the
signal (prctl(2), PR_SET_PDEATHSIG). Elsewhere the tether forks a watcher, which holds the read
end of a pipe whose write end the parent alone has: its end of file means that the parent is
gone. Nothing runs between fork and exec in the parent itself, which may have threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KERNEL_TELLS = sys.platform == "linux"
"""Whether the kernel can send a signal at the parent's end; if not, a pipe tells of it."""

# The watcher keeps nothing open but the pipe: whoever waits for the end of the child's output
# or of its socket must not have to wait for the watcher. It is the program's child, so a process
# id that was given out again is never mistaken for the program.
_TETHER = """
import ctypes, os, select, sys
parent, number, pipe = map(int, sys.argv[1:4])
program = os.getpid()
if pipe < 0:
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
elif os.fork():
    os.close(pipe)
else:
    os.dup2(pipe, 0)
    os.closerange(1, 65536)
    while os.getppid() == program:
        if select.select([0], [], [], 0.2)[0]:
            os.kill(program, number)
            break
    os._exit(0)
os.execv(sys.argv[4], sys.argv[4:])
"""


def tethered(
    command: Sequence[str], number: int = signal.SIGKILL
) -> tuple[list[str], tuple[int, ...]]:
    """A command that ends when this process does, whatever ends it, kill -9 included.

    Args:
        command: a program's path and its arguments.
        number: the signal that the program gets then.

    Returns:
        What to start instead, and the descriptors to pass on (`pass_fds`). To be started from a
        thread that lives as long as the child is to: Linux sends the signal when that thread
        ends.
    """
    passed = () if KERNEL_TELLS else (_pipe()[0],)
    pipe = passed[0] if passed else -1
    tether = [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), str(int(number))]
    return [*tether, str(pipe), *command], passed


def start_child(
    command: Sequence[str],
    *,
    number: int = signal.SIGKILL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a program that gets no input, no Ctrl-C of the terminal, and ends with us.

    Args:
        command: the program's path and its arguments; no shell is involved.
        number: the signal that it gets when this process ends.
        env: its environment; ours unless given.
        cwd: its working folder; ours unless given.
        output: takes what it writes; our standard error unless given.
        pass_fds: further descriptors that it keeps.
    """
    tether, passed = tethered(command, number)
    return subprocess.Popen(
        tether,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if output is None else output,
        stderr=output,
        env=env,
        cwd=cwd,
        pass_fds=(*pass_fds, *passed),
        start_new_session=True,
    )


@cache
def _pipe() -> tuple[int, int]:
    """A pipe whose write end this process keeps, and closes by ending."""
    return os.pipe()
