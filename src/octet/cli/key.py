"""`octet key`: a new API key, and what to put into the service's settings."""

from __future__ import annotations

import secrets

import typer

from octet.cli.console import note


def key() -> None:
    """Make an API key. The service keeps its hash alone (OCTET_API_KEYS), the client the key."""
    from octet.api.auth import hash_key

    made = secrets.token_urlsafe(32)
    typer.echo(f"OCTET_KEY={made}")
    typer.echo(f"OCTET_API_KEYS={hash_key(made)}")
    note("The first line is for the client, the second for the service. It is shown this once.")
