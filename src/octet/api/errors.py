"""Errors as answers: RFC 9457 problem documents, and {"reason": ...} for the lab's API."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from octet.errors import (
    AudioError,
    KeyReusedError,
    LeaseLostError,
    LimitError,
    ModelError,
    ObjectMissingError,
    ObjectTooLargeError,
    OctetError,
    QueueError,
    RemoteError,
    SettingError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI
    from starlette.requests import Request

logger = logging.getLogger("octet.api")

PROBLEM = "application/problem+json"
RETRY_AFTER = "5"

_KINDS: tuple[tuple[type[OctetError], int], ...] = (
    (LimitError, 413),
    (AudioError, 415),
    (KeyReusedError, 422),
    (LeaseLostError, 409),
    (QueueError, 503),
    (ObjectMissingError, 404),
    (ObjectTooLargeError, 413),
    (StorageError, 503),
    (ModelError, 422),
    (RemoteError, 422),
    (SettingError, 422),
)
_LAB = frozenset({401, 403, 404, 405, 408, 409, 413, 416, 503})
"""Statuses that /apiv1 has; its other errors of the client are 400."""

_AWAY: tuple[tuple[type[OctetError], str, str], ...] = (
    (QueueError, "the queue does not answer", "Try again in a few seconds"),
    (StorageFullError, "the store has no room", "Try again once its operator has made some"),
    (StorageRefusedError, "the store refuses this", "Its operator finds the reason in the log"),
    (StorageError, "the store does not answer", "Try again in a few seconds"),
)


class RefusedError(OctetError):
    """An answer that is an error, chosen by the API itself.

    Args:
        status: the HTTP status.
        code: names the kind for programs.
        message, hint: as everywhere.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.headers = headers or {}


class InvalidRequestError(OctetError):
    """Values that make no sense; `mistakes` has one entry for each, with place and message."""

    code = "invalid-request"

    def __init__(self, mistakes: Sequence[Mapping[str, str]]) -> None:
        super().__init__(f"{mistakes[0]['place']}: {mistakes[0]['message']}")
        self.mistakes = mistakes


def not_found(what: str) -> RefusedError:
    """404 for something that there is not."""
    return RefusedError(404, "not-found", f"there is no {what}")


def busy(message: str, hint: str = "Try again later") -> RefusedError:
    """503 with the time to wait."""
    return RefusedError(503, "busy", message, hint, {"Retry-After": RETRY_AFTER})


def problem(
    status: int,
    code: str,
    detail: str,
    hint: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    lab: bool = False,
    errors: Sequence[Mapping[str, Any]] = (),
) -> Response:
    """The answer for an error.

    Args:
        status: the HTTP status.
        code: names the kind of error.
        detail: what is wrong.
        hint: what to do about it.
        headers: further headers.
        lab: in the shape and with the statuses of /apiv1.
        errors: for a request with several mistakes, each with `place` and `message`.
    """
    if lab:
        reason = f"{detail}. {hint}" if hint else detail
        return JSONResponse({"reason": reason}, _lab_status(status), headers)
    body: dict[str, Any] = {
        "type": f"urn:octet:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if hint:
        body["hint"] = hint
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, headers, media_type=PROBLEM)


def is_lab(path: str) -> bool:
    """Whether a path belongs to the lab's API."""
    return path == "/apiv1" or path.startswith("/apiv1/")


def status_of(error: OctetError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _KINDS if isinstance(error, kind)), 500)


def answer_to(error: OctetError, *, lab: bool) -> Response:
    """The answer for an error; what is the service's own trouble is told without details."""
    status = status_of(error)
    if isinstance(error, RefusedError):
        return problem(
            status, error.code, error.message, error.hint, headers=error.headers, lab=lab
        )
    if status == 503:
        told = next(words for kind, *words in _AWAY if isinstance(error, kind))
        return problem(status, error.code, *told, headers={"Retry-After": RETRY_AFTER}, lab=lab)
    if status == 500:
        return _internal(lab=lab)
    return problem(status, error.code, error.message, error.hint, lab=lab)


def install(app: FastAPI) -> None:
    """Has the application answer every error in this way."""
    app.add_exception_handler(OctetError, _on_octet_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(ExceptionGroup, _on_group)


async def _on_octet_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OctetError)  # noqa: S101  # registered for these alone
    if isinstance(error, InvalidRequestError):
        return _invalid(error, lab=is_lab(request.url.path))
    if status_of(error) >= 500 and not isinstance(error, RefusedError):
        logger.error("%s %s: %s", request.method, request.url.path, error)
    return answer_to(error, lab=is_lab(request.url.path))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for these alone
    mistakes = [
        {"place": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()
    ]
    return _invalid(InvalidRequestError(mistakes), lab=is_lab(request.url.path))


def _invalid(error: InvalidRequestError, *, lab: bool) -> Response:
    return problem(422, error.code, error.message, lab=lab, errors=error.mistakes)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for these alone
    status = error.status_code
    code = HTTPStatus(status).phrase.lower().replace(" ", "-")
    detail = {
        404: "there is nothing at this address",
        405: "this address does not know this method",
    }.get(status, str(error.detail))
    return problem(status, code, detail, headers=error.headers, lab=is_lab(request.url.path))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    del request, error  # nobody is left to read an answer
    return Response(status_code=400)


async def _on_group(request: Request, error: Exception) -> Response:
    """A group (of a task group somewhere below) stands for the first of its errors."""
    assert isinstance(error, ExceptionGroup)  # noqa: S101  # registered for these alone
    first = error.exceptions[0]
    if isinstance(first, OctetError):
        return await _on_octet_error(request, first)
    raise error


class CatchAll:
    """ASGI: any other exception is logged in one line and answered with 500, without a trace."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # whatever it is: nothing else answers
            logger.error("%s %s: %s", scope["method"], scope["path"], _one_line(error))
            if started:
                raise Interrupted from None
            await _internal(lab=is_lab(scope["path"]))(scope, receive, send)


class Interrupted(Exception):  # noqa: N818  # it is no error of its own, but the end of one
    """An answer broke off after it had begun; the connection is closed, which tells the client."""


def _internal(*, lab: bool) -> Response:
    return problem(500, "internal", "something went wrong here", "It has been logged", lab=lab)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _lab_status(status: int) -> int:
    return status if status in _LAB or status >= 500 else 400
