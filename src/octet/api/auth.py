"""Access: API keys, and what browsers send for pages of other sites."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from octet.api.errors import is_lab, problem
from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from octet.settings import ServiceSettings

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""What a load balancer requests, without a key."""


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


def owner_of(headers: Mapping[str, str], settings: ServiceSettings) -> str:
    """Tells apart the clients of a service with keys; empty where there are none."""
    return hash_key(_key_of(headers))[:16] if settings.api_keys else ""


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
    """Without keys, only this machine is served, unless the operator says otherwise.

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
    """ASGI: refuses requests without a key; where there are no keys, those that another site's
    page makes a browser send: by DNS rebinding, or by a form, an image or a link there.

    Without keys and OCTET_OPEN, only names of this machine are answered to. With OCTET_OPEN, a
    browser has to use a name that nobody else can point here: an address, a name without a dot,
    this machine's own, or one of OCTET_CORS_ORIGINS.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._keys = settings.api_keys
        self._open = settings.open
        self._origins = settings.cors_origins
        named = {(urlsplit(origin).hostname or "").lower() for origin in self._origins}
        self._names = named | {socket.gethostname().lower()}

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
        if not self._is_own(_host_of(f"//{headers.get('host', '')}"), headers):
            hint = "Use localhost, set up keys, or list the name in OCTET_CORS_ORIGINS"
            return 403, "wrong-host", "this service does not answer to this name", hint
        if self._is_foreign(headers):
            return 403, "wrong-origin", "a page of another site may not ask this service", ""
        return None

    def _is_own(self, host: str, headers: Mapping[str, str]) -> bool:
        """Whether a page that somebody else wrote cannot have this name."""
        if is_loopback(host) or host in self._names:
            return True
        from_browser = any(name in headers for name in ("sec-fetch-site", "origin", "referer"))
        return self._open and (not from_browser or _is_nobodys(host))

    def _is_foreign(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser says that another site's page is behind this request.

        `Sec-Fetch-Site` is the browser's own word, which no page can set; browsers send it to
        https and to this machine. Elsewhere the page's address has to be the one asked.
        """
        if headers.get("origin") in self._origins:
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        page = headers.get("origin") or headers.get("referer")
        if not page:
            return False
        try:
            return urlsplit(page).netloc != headers.get("host")
        except ValueError:
            return True


def _key_of(headers: Mapping[str, str]) -> str:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return headers.get("x-api-key", "").strip()


def _host_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_nobodys(host: str) -> bool:
    """Whether no public name server can point this name anywhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(".local"))
    return True
