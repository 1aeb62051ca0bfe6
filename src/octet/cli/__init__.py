"""The command line: one module a noun, each thin."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from types import FrameType  # noqa: TC003  # read by nobody at run time, but cheap and clear

import typer

from octet import __version__
from octet.cli import doctor, jobs, models, separate, service, submit
from octet.cli.console import fail, output_lost
from octet.errors import OctetError

app = typer.Typer(
    help="Music separation: one song in, eight aligned files out.",
    no_args_is_help=True,
    add_completion=False,
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
    service.key,
    doctor.doctor,
):
    app.command()(_command)
app.add_typer(models.app, name="models")
app.add_typer(jobs.dead, name="dead")


def _version(given: bool) -> None:
    if given:
        typer.echo(f"octet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(  # typer's way to declare a flag
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


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
        app()
    except OctetError as error:
        fail(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        fail("stopped")
        sys.exit(130)
    except SystemExit as end:
        if not end.code and output_lost():
            sys.exit(1)
        raise
