"""docs/benchmarks.md: a section for each part, as its last run wrote it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
# Benchmarks, as `make bench` wrote them

Each section is the latest run of one part. Times of different sections, of other days or of
other machines do not compare; ratios within a section do.
"""


def keep(page: Path, part: str, machine: str, lines: list[str]) -> None:
    """Writes the section of one part, and leaves the others as they are.

    Args:
        page: the file; made where missing.
        part: the section's name.
        machine: where it ran.
        lines: what it found.
    """
    text = page.read_text("utf-8") if page.exists() else ""
    found = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    sections = dict(zip(found[::2], found[1::2], strict=True))
    when = time.strftime("%Y-%m-%d", time.gmtime())
    sections[part] = "\n".join([*lines, "", f"({when}; {machine})"])
    body = "\n\n".join(f"## {name}\n\n{section.strip()}" for name, section in sections.items())
    page.write_text(f"{HEAD}\n{body}\n", "utf-8")
