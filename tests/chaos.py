"""How often the reliability tests repeat themselves."""

from __future__ import annotations

import os

FULL = os.environ.get("OCTET_CHAOS", "") == "full"
"""Whether this is the campaign (OCTET_CHAOS=full) rather than a commit's tests."""


def rounds(reduced: int, full: int) -> int:
    """The count with every commit, or that of the campaign."""
    return full if FULL else reduced
