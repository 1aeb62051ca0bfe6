"""The command line: one module a noun, each thin."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType  # noqa: TC003  # read by nobody at run time, but cheap and clear
from typing import Annotated

import typer

from octet import __version__
from octet.cli import doctor, jobs, models, results, separate, service, submit
from octet.cli.console import fail, note, output_lost
from octet.errors import OctetError

_Misused: type[Exception] = typer.BadParameter.__mro__[1]
"""What is raised about command lines that make no sense; typer has no public name for it."""

_STOPPED = 130
"""Exit status after Ctrl-C, as of shells."""

app = typer.Typer(
    help="Music separation: one song in, eight aligned files out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    separate.separate,
    service.up,
    service.api,
    service.worker,
    service.logs,
    submit.submit,
    jobs.status,
    jobs.queue,
    jobs.cancel,
    results.fetch,
    service.key,
    doctor.doctor,
):
    app.command()(_command)
app.command("rm")(results.remove)
app.add_typer(models.app, name="models")
app.add_typer(jobs.dead, name="dead")


def _version(given: bool) -> None:
    if given:
        typer.echo(f"octet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del version
    for name, near in doctor.unknown_variables(os.environ):
        note(f"{name} is no setting{f'; {near} is one' if near else ''} (docs/settings.md)")


def _terminate(number: int, frame: FrameType | None) -> None:
    # As an exception, so that everything half-written is cleaned up on the way out; a second
    # signal must not break that off.
    del frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _hang_up(number: int, frame: FrameType | None) -> None:
    # A closed terminal ends a command as SIGTERM does, be it here or in an event loop. It may
    # send the signal twice (the kernel does, and the shell).
    del frame
    signal.signal(number, signal.SIG_IGN)
    signal.raise_signal(signal.SIGTERM)


def main() -> None:
    """Runs the command line; the exit status is 1 for an error, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _hang_up)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Not every terminal can show every character, and names may hold any.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = (
            app(prog_name="octet", standalone_mode=False) or 0
        )  # the status of typer.Exit, 0 at a command's end
    except OctetError as error:
        fail(str(error))
        code = 1
    except _Misused as error:
        _explain(error)
        code = 2
    except KeyboardInterrupt:
        code = _STOPPED
    if code == _STOPPED:
        fail("stopped")
    sys.exit(code or output_lost())


def _explain(error: Exception) -> None:
    """Says in one line what is wrong with a command line, and how to see what is right."""
    context = getattr(error, "ctx", None)
    said = str(getattr(error, "format_message", error.__str__)()).strip().rstrip(".")
    path = getattr(context, "command_path", None) or "octet"
    if not said:  # there were no arguments, and the help is printed already
        return
    fail(f"{said[0].lower()}{said[1:]}. {path} -h lists what there is")
