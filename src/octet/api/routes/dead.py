"""/v1/dead: dead letters. Look at them, put them back on the queue, or forget them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query, Response

from octet.api.errors import not_found
from octet.api.openapi import problems
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import DeadLetterPage, DeadLetterView

if TYPE_CHECKING:
    from octet.jobs.dead import DeadLetter

router = APIRouter(prefix="/v1/dead", tags=["dead letters"])

LetterId = Annotated[
    str, Path(pattern=r"^[0-9A-Za-z_-]{1,160}$", description="As the list has it.")
]


@router.get("", response_model=DeadLetterPage, responses=problems(), summary="List dead letters")
async def list_dead(
    service: ServiceHere,
    start: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeadLetterPage:
    """Jobs that were given up, and messages that could not be read, the newest first."""
    letters = await service.dead.list(start=start, limit=limit)
    return DeadLetterPage(
        letters=[_view(letter) for letter in letters], count=await service.dead.count()
    )


@router.post(
    "/{letter_id}/replay",
    status_code=204,
    response_class=Response,
    responses=problems(404),
    summary="Try again",
)
async def replay_dead(service: ServiceHere, letter_id: LetterId) -> Response:
    """Puts it back on the queue, with its attempts at 0."""
    if not await service.dead.replay(letter_id):
        raise not_found("dead letter of this id")
    return Response(status_code=204)


@router.delete(
    "/{letter_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404),
    summary="Forget it",
)
async def discard_dead(service: ServiceHere, letter_id: LetterId) -> Response:
    """Forgets it, and the record of its job."""
    if not await service.dead.discard(letter_id):
        raise not_found("dead letter of this id")
    return Response(status_code=204)


def _view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        job=letter.job_id or None,
        code=letter.code,
        reason=letter.reason,
        time=datetime.fromtimestamp(letter.time, UTC),
        message=letter.message[:16384].decode("utf-8", "replace")[:4096],
    )
