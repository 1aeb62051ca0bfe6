"""What answers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


def problem(answer: httpx.Response, status: int) -> str:
    """Checks that an answer is a problem document, and gives its code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    return str(body["code"])
