"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Says in one line what went wrong."""
    err.print(f"octet: {printable(message)}", style="red", markup=False)


def note(message: str) -> None:
    """Says something by the way, where results do not belong."""
    err.print(printable(message), style="dim", markup=False)


def printable(text: str) -> str:
    """The text on one line, its control characters and stray bytes escaped.

    Names of files are other people's: they may hold terminal sequences.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def progress_bar() -> Progress:
    """A bar with percent and seconds left on standard error; silent if that is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )
