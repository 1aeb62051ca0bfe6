"""docs/api.md is true: its examples run in their order, and it names what there is."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from octet.api.app import create_app
from octet.api.submission import JobOptions
from octet.api.views import JobView
from octet.jobs.outbox import _event
from octet.outbound.sign import new_secret, signed_headers
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.cli.test_separate import make_song
from tests.integration.test_up import running

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text()

IDLE = """
until curl -sf "$url/v1/queue" | grep -q '"depth":0,"waiting":\\[\\],"running":\\[\\]'; do
  sleep 0.1
done
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def example(key: str) -> dict[str, object]:
    """The JSON example that begins with this key."""
    found = [json.loads(block) for block in blocks("json") if block.startswith(f'{{"{key}"')]
    return dict(found[0])


@pytest.mark.timeout(240)
def test_the_examples_run(tmp_path: Path) -> None:
    # given a running service and a song
    make_song(tmp_path / "song.wav", 0.5)
    with running(tmp_path / "data", OCTET_MODEL="original") as up:
        # when the page's commands are given one after the other
        ran = subprocess.run(
            ["bash", "-euc", "set -o pipefail\n" + IDLE.join(blocks("sh"))],
            cwd=tmp_path,
            env={**os.environ, "OCTET_URL": up.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
    # then all of them work, and what they fetch is there
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
    assert (tmp_path / "start.mp3").stat().st_size == 1000
    assert (tmp_path / "vocals.mp3").stat().st_size > 1000
    assert (tmp_path / "song.zip").read_bytes()[:2] == b"PK"
    assert "event: job" in ran.stdout
    assert json.dumps(example("type")["detail"]) in ran.stdout


def test_it_names_every_call_and_option() -> None:
    document = create_app(read_settings(ServiceSettings), read_settings(SeparationSettings))
    plain = (
        PAGE.replace("$id", "{job_id}").replace("{id}", "{job_id}").replace("/none", "/{job_id}")
    )
    for path in document.openapi()["paths"]:
        if path == "/":
            continue
        place = re.sub(r"\{(song_id|letter_id)\}", "{job_id}", path).replace("{track}", "vocals")
        place = place.replace("{song}/vocals", "H/TRACK")
        assert place in plain, path
    for option in JobOptions.model_fields:
        assert f"`{option}`" in PAGE, option


def test_its_shapes_are_those_of_the_code() -> None:
    assert set(example("id")) == set(JobView.model_fields)
    record = {"job": "4bf5...", "song": "4bf5...", "state": "done", "outcome": "complete"}
    told = json.loads(_event({**record, "error_code": "", "error": ""}, 1_769_860_800))
    [event] = [json.loads(block) for block in blocks("json") if '"job.done"' in block]
    assert event == told


def test_an_event_is_verified_as_it_says() -> None:
    secret, body = new_secret(), '{"type": "job.done"}'
    names = {
        "secret": secret,
        "body": body.encode(),
        "headers": signed_headers(secret, "msg_1", datetime.now(UTC), body),
    }
    [code] = blocks("python")
    exec(code, names)  # noqa: S102 - it is ours
    assert names["event"] == {"type": "job.done"}
