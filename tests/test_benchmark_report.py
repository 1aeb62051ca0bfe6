"""The page of benchmarks keeps the parts that did not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report import HEAD, keep

if TYPE_CHECKING:
    from pathlib import Path


def test_a_part_replaces_its_own_section_alone(tmp_path: Path) -> None:
    # given a page with two parts
    page = tmp_path / "benchmarks.md"
    keep(page, "pocket", "a slow machine", ["- 10 s"])
    keep(page, "queue", "a slow machine", ["- 3 ms"])

    # when one of them runs again
    keep(page, "pocket", "a fast machine", ["- 5 s", "- 7 s"])

    # then the other is as it was
    text = page.read_text("utf-8")
    assert text.startswith(HEAD)
    assert "- 10 s" not in text
    pocket, queue = text.split("## ")[1:]
    assert pocket.startswith("pocket\n\n- 5 s\n- 7 s\n")
    assert "a fast machine" in pocket
    assert queue.startswith("queue\n\n- 3 ms\n")
    assert "a slow machine" in queue
    assert "\n\n## queue\n" in text
