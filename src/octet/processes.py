"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: int = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child does before it runs its program, so that it dies when its parent does.

    For `preexec_fn`. Linux only (prctl(2), PR_SET_PDEATHSIG); None elsewhere, where children
    notice by the end of their standard input or of a socket. The signal comes when the thread
    that started the child ends: start children from a thread that stays.
    """
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl could arrange for that
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def start_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stderr: IO[bytes] | int | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program that gets no input, no Ctrl-C of the terminal, and dies with us.

    Args:
        command: the program and its arguments; no shell is involved.
        env: its environment; ours unless given.
        stderr: where its standard error goes, and its standard output with it; ours unless
            given.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if stderr is None else stderr,
        stderr=stderr,
        env=env,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509  # it calls two system calls and nothing else
    )
