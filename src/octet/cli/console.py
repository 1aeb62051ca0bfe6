"""What commands print: results to standard output, everything else to standard error.

Names of songs and folders, and what a service answers, are other people's text. It is printed
by the functions here alone: they escape control characters and read no markup in it. Nor does
any of them fail where the terminal, the disk or the program that they print to does.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_BAR, _TIMES = 20, 20
"""Columns of a bar, and of what stands beside it: the percent, the times, blanks."""

_WIDE = 100
"""Columns from which on bars are twice as long."""

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


class _Stream:
    """Standard output or error, as a file that no writing to fails.

    Attributes:
        lost: whether something could not be written.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)

    def write(self, text: str) -> None:
        self._try(lambda stream: stream.write(text))

    def flush(self) -> None:
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        return bool(getattr(sys, self._name)) and getattr(sys, self._name).isatty()

    def _try(self, work: Callable[[IO[str]], object]) -> None:
        stream = getattr(sys, self._name)
        if stream is None:  # closed by whoever started the program
            return
        try:
            work(stream)
        except OSError as error:
            # What is still buffered would fail again at the end of the program.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
            self.lost = True
            if self is _stdout and not isinstance(error, BrokenPipeError):
                fail(f"cannot write to standard output: {error.strerror}")


_stdout, _stderr = _Stream("stdout"), _Stream("stderr")
_plain: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False, "emoji": False}
_out = Console(file=cast("IO[str]", _stdout), **_plain)
_err = Console(file=cast("IO[str]", _stderr), **_plain)


def output_lost() -> bool:
    """Whether some result could not be printed; it has been said, unless a pipe was closed."""
    return _stdout.lost


def say(text: str) -> None:
    """Prints one line of a result; on a terminal that is narrower it is broken between words."""
    _print(_out, printable(text))


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Prints a result as JSON; without an indent on one line.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON does not have.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(_stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # JSON has an escape for every character
        text = json.dumps(value, indent=indent, allow_nan=False)
    print(text, file=cast("IO[str]", _stdout), flush=True)


def say_table(rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), right: int = 0) -> None:
    """Prints rows of cells; long cells go on in the next line.

    Args:
        rows: the cells; without a header those of the first column are bold.
        header: names of the columns.
        right: how many columns, counted from the last, are flush right.
    """
    table = Table(box=None, show_header=bool(header), pad_edge=False)
    cells = [[Text(printable(cell)) for cell in row] for row in rows]
    columns = len(header or cells[0])
    for number, name in enumerate(header or [""] * columns):
        table.add_column(
            name,
            overflow="fold",
            justify="right" if number >= columns - right else "left",
            style=None if header or number else "bold",
        )
    for row in cells:
        table.add_row(*row)
    _out.print(table)


def note(text: str) -> None:
    """Says something by the way, where results do not belong."""
    _print(_err, printable(text), style="dim")


def fail(text: str) -> None:
    """Says in one line what went wrong."""
    _print(_err, f"octet: {printable(text)}", style="red")


def _print(console: Console, text: str, style: str | None = None) -> None:
    # Programs that read the output get one line; terminals would break it in the midst of a word.
    console.print(text, style=style, soft_wrap=not console.is_terminal)


def counted(number: int, what: str) -> str:
    """A number of things: `1 track`, `8 tracks`."""
    return f"{number} {what if number == 1 else f'{what}s'}"


def printable(text: str) -> str:
    """The text on one line, its control characters and stray bytes escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


@contextmanager
def progress() -> Iterator[Callable[[str, float, float], None]]:
    """A bar with percent and seconds left on standard error; silent if that is no terminal.

    Yields:
        A function that draws it: (what, done, total); the total is 0 where it is not known.
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=_err,
        disable=not _err.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(what: str, done: float, total: float) -> None:
            known: dict[str, Any] = {"total": total} if total else {}
            bar.update(task, description=printable(what), completed=done, visible=True, **known)

        yield show


@contextmanager
def song_bar(place: str, name: str, *, silent: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar for one song, on standard error; silent if that is no terminal.

    A long name leaves room for the bar, the percent and the times, also in 80 columns.

    Args:
        place: where the song is among others; may be empty.
        name: the song's.
        silent: draw nothing.

    Yields:
        A function that draws it: (the share that is done, the time left in words).
    """
    narrow = _err.width < _WIDE
    room = _err.width - (_BAR if narrow else 2 * _BAR) - (_TIMES + 10 if place else _TIMES)
    title = Column(no_wrap=True, overflow="ellipsis", max_width=max(8, room - len(place)))
    columns = (
        *((TextColumn(place, markup=False),) if place else ()),
        TextColumn("{task.description}", markup=False, table_column=title),
        BarColumn(_BAR if narrow else 2 * _BAR),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False, table_column=Column(no_wrap=True)),
    )
    off = silent or not _err.is_terminal
    with Progress(*columns, console=_err, disable=off, transient=True) as bar:
        task = bar.add_task(printable(name), total=1.0, left="--:--")
        yield lambda share, left: bar.update(task, completed=share, left=left)
