"""What commands print: results to standard output, everything else to standard error.

Names of songs and folders, and what a service answers, are other people's text. It is printed
by the functions here alone: they escape control characters and read no markup in it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Prints one line of a result."""
    _out.print(printable(text), markup=False)


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Prints a result as JSON; without an indent on one line.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON does not have.
    """
    typer.echo(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


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
    _err.print(printable(text), style="dim", markup=False)


def fail(text: str) -> None:
    """Says in one line what went wrong."""
    _err.print(f"octet: {printable(text)}", style="red", markup=False)


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
