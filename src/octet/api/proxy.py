"""Behind a proxy: the path and the scheme under which clients reach this service."""

from __future__ import annotations

import ipaddress
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from octet.settings import ServiceSettings

_root_path: ContextVar[str] = ContextVar("root_path", default="")
_PREFIX = re.compile(rb"(?:/[A-Za-z0-9._~-]+)+/?")


def address(path: str) -> str:
    """The path by which the client of the present request reaches `path` of this service."""
    return _root_path.get() + path


class Forwarded:
    """ASGI: takes from the proxy what it says of the client's side of the connection.

    X-Forwarded-Prefix is the path under which the service stands there (else OCTET_ROOT_PATH),
    X-Forwarded-Proto the scheme. They count only in requests that come from a trusted proxy
    (OCTET_TRUSTED_PROXIES): anybody else can send them as well. A proxy may take the prefix off
    the path or leave it.

    Args:
        app: what to serve.
        settings: name the prefix and the proxies.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._root_path = settings.root_path
        self._proxies = [ipaddress.ip_network(one) for one in settings.trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = self._root_path
        if self._is_trusted(scope):
            headers = dict(scope["headers"])
            if _PREFIX.fullmatch(prefix := headers.get(b"x-forwarded-prefix", b"")):
                root = prefix.decode().rstrip("/")
            if (scheme := headers.get(b"x-forwarded-proto", b"").lower()) in (b"http", b"https"):
                scope["scheme"] = scheme.decode()
        if root and scope["path"].startswith(f"{root}/"):
            scope["path"] = scope["path"].removeprefix(root)
        scope["root_path"] = root
        token = _root_path.set(root)
        try:
            await self._app(scope, receive, send)
        finally:
            _root_path.reset(token)

    def _is_trusted(self, scope: Scope) -> bool:
        try:
            peer = ipaddress.ip_address((scope.get("client") or ("", 0))[0])
        except ValueError:
            return False
        return any(peer in network for network in self._proxies)
