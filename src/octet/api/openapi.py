"""What the OpenAPI document says of errors, with an example each."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from octet.api.errors import PROBLEM, is_lab
from octet.api.views import ProblemView, ReasonView

if TYPE_CHECKING:
    from fastapi import FastAPI

_DETAILS = {
    400: ("malformed", "the form cannot be read: it breaks off"),
    401: ("unauthorized", "an API key is needed"),
    403: ("wrong-host", "this service answers to its own machine only"),
    404: ("not-found", "there is no job of this id"),
    408: ("too-slow", "the request comes too slowly"),
    409: ("conflict", "the job has not ended"),
    413: ("limit", "the song is larger than 536870912 bytes"),
    415: ("not-audio", "this is not audio"),
    416: ("beyond-the-end", "the range lies beyond the end of the track"),
    422: ("invalid-request", "shifts: Input should be less than or equal to 20"),
    429: ("too-many", "200 songs of this API key are waiting to be fetched"),
    500: ("internal", "something went wrong here"),
    503: ("queue-unavailable", "the queue does not answer"),
}

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """These errors of /v1, and those that every route can answer with."""
    return {status: _problem(status) for status in sorted({*statuses, 401, 403, 422, 503})}


def reasons(*statuses: int) -> Responses:
    """The same for /apiv1."""
    return {
        status: {
            "model": ReasonView,
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"example": {"reason": _DETAILS[status][1]}}},
        }
        for status in sorted({*statuses, 400, 401, 403, 503})
    }


def describe_errors(app: FastAPI) -> None:
    """Has the OpenAPI document say what is so, where FastAPI takes its own habits for granted."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        whole = made()
        if fresh:
            for path, methods in whole["paths"].items():
                if is_lab(path):
                    for operation in methods.values():
                        operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                whole["components"]["schemas"].pop(name, None)
        return whole

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def _problem(status: int) -> dict[str, Any]:
    code, detail = _DETAILS[status]
    phrase = HTTPStatus(status).phrase
    example = {
        "type": f"urn:octet:error:{code}",
        "title": phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    schema = ProblemView.model_json_schema()
    return {"description": phrase, "content": {PROBLEM: {"schema": schema, "example": example}}}
