"""The page about reliability tells what ran, and keeps what did not run."""

from __future__ import annotations

import re
from pathlib import Path

from tests.campaign import CAMPAIGN, HEAD, Entry, write_page

ROOT = Path(__file__).parent.parent


def test_a_row_tells_the_verdict_and_the_figures() -> None:
    entry = Entry(1, "kills", ("a",), passed=3, seconds=61, figures=["3 jobs", "1 kill", "3 jobs"])

    assert entry.row().startswith("| 1 | kills | passed in 61 s | 2 times 3 jobs; 1 kill | ")
    assert "**failed**" in Entry(1, "kills", ("a",), passed=3, failed=1).row()
    assert "skipped" in Entry(1, "kills", ("a",), skipped=1).row()


def test_rows_of_other_runs_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page([Entry(2, "old", (), passed=1), Entry(11, "other", (), passed=1)], page)

    write_page([Entry(2, "new", (), passed=1), Entry(3, "did not run", ())], page)

    text = page.read_text("utf-8")
    assert text.startswith(HEAD)
    assert [row.split(" | ")[1] for row in text.removeprefix(HEAD).splitlines()] == ["new", "other"]


def test_every_test_of_the_list_exists() -> None:
    for entry in CAMPAIGN:
        for name in entry.tests:
            file, _, function = name.partition("::")
            text = (ROOT / file).read_text("utf-8")
            assert re.search(rf"^(async )?def {function}", text, re.MULTILINE), name
