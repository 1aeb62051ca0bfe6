"""Fixtures for the commands that talk to a service."""

# ruff: noqa: F811 - the fixtures of the API's tests are imported by their names

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from octet.cli import app
from tests.api.conftest import (  # noqa: F401 - fixtures
    near_settings,
    settings,
    shared_url,
    store,
    store_folder,
    valkey,
    worker,
)
from tests.api.songs import song

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis
    from typer.testing import Result

    Octet = Callable[..., Result]


@pytest.fixture
def octet(
    shared_url: str, store: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> Octet:
    """Runs a command against a service with nothing in it."""
    monkeypatch.setenv("OCTET_URL", shared_url)
    monkeypatch.delenv("OCTET_KEY", raising=False)

    def octet(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return octet


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Two songs of one name, and something that is none."""
    paths = []
    for number, folder in enumerate(["a", "b"]):
        path = tmp_path / folder / "Lied.mp3"
        path.parent.mkdir()
        path.write_bytes(song(number))
        paths.append(path)
    text = tmp_path / "text.mp3"
    text.write_text("only text")
    return [*paths, text]
