"""`octet models`: the list, fetching and converting."""

import json
import os
import subprocess
import sys

from tests.servers import nothing_here


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "octet", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_models_are_listed_with_their_licences(tmp_path):
    # given an empty cache, when the models are listed
    done = run("models", "list", "--json", OCTET_CACHE=str(tmp_path))
    listed = {row["name"]: row for row in json.loads(done.stdout)}
    # then the bundled one is here and free, and Demucs' own are neither
    assert (listed["pocket"]["commercial"], listed["pocket"]["licence"]) == (True, "CC0-1.0")
    assert listed["pocket"]["where"]
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s", "mdx_extra", "mdx_extra_q"):
        assert listed[name]["commercial"] is False
        assert listed[name]["where"] is None
    # and the list for people names them too
    assert "htdemucs_ft" in run("models", OCTET_CACHE=str(tmp_path)).stdout


def test_pulling_without_a_network_says_what_to_do(tmp_path):
    # given no way out, when a model is pulled
    with nothing_here() as proxy:
        done = run("models", "pull", "htdemucs", OCTET_CACHE=str(tmp_path), https_proxy=proxy)
    # then one line says where to get it and where to put it
    assert done.returncode == 1
    assert "https://" in done.stderr
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_policy_refuses_what_may_not_be_sold(tmp_path):
    done = run(
        *("models", "convert", "htdemucs"),
        OCTET_CACHE=str(tmp_path),
        OCTET_MODEL_POLICY="commercial",
    )
    assert done.returncode == 1
    assert "does not allow commercial use" in done.stderr
