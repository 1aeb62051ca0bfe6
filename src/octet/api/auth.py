"""Who may ask: API keys, and browsers that somebody else's page has sent."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from octet.api.errors import is_lab, problem
from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from octet.settings import ServiceSettings

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""What a load balancer asks for, without a key."""


def hash_key(key: str) -> str:
    """An API key as OCTET_API_KEYS holds it: SHA-256 in lower-case hex.

    Keys are long and random (not passwords), so a plain hash is enough.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def is_known(key: str, hashes: Sequence[str]) -> bool:
    """Whether a key is one of these; takes the same time whichever it is."""
    given = hash_key(key)
    found = False
    for known in hashes:
        found |= hmac.compare_digest(given, known)
    return found


def is_loopback(host: str) -> bool:
    """Whether a name or address means this very machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_binding(settings: ServiceSettings, host: str) -> None:
    """Without keys, only this machine may ask, unless the operator says otherwise.

    Raises:
        SettingError: the API would be open to the network.
    """
    if not (settings.api_keys or settings.open or is_loopback(host)):
        raise SettingError(
            f"without API keys the API does not listen on {host}",
            "Set OCTET_API_KEYS (the SHA-256 of each key), or OCTET_OPEN=true where everybody "
            "who reaches it may use it",
        )


class AccessControl:
    """ASGI: turns away who has no key, or, without keys, whoever comes through a browser's
    page of another site (by DNS rebinding or by a form, an image or a link there).
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._keys = settings.api_keys
        self._local = not settings.api_keys and not settings.open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "http":
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
            }
            refusal = self._refusal(scope["path"], headers)
            if refusal is not None:
                status, code, detail, hint = refusal
                extra = {"WWW-Authenticate": "Bearer"} if status == 401 else None
                answer = problem(
                    status, code, detail, hint, headers=extra, lab=is_lab(scope["path"])
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str, str, str] | None:
        if self._keys:
            if path in OPEN_PATHS or is_known(_key_of(headers), self._keys):
                return None
            hint = "Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            return 401, "unauthorized", "an API key is needed", hint
        if self._local and not is_loopback(_host_of(headers)):
            hint = "Use localhost or 127.0.0.1, or set up keys"
            return 403, "wrong-host", "this service answers to its own machine only", hint
        if _is_foreign(headers):
            return 403, "wrong-origin", "a page of another site may not ask this service", ""
        return None


def _key_of(headers: Mapping[str, str]) -> str:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return headers.get("x-api-key", "").strip()


def _host_of(headers: Mapping[str, str]) -> str:
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that another site's page is behind this request."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
