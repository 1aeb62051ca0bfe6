"""/healthz and /readyz, for whoever starts, stops and balances this service; and the front page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

from octet.api.schemas import HealthView
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.errors import QueueError

if TYPE_CHECKING:
    from octet.api.openapi import Responses

router = APIRouter(tags=["health"])

_UNAVAILABLE: Responses = {503: {"model": HealthView, "description": "Service Unavailable"}}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Octet</title>
<style>
body { font: 1.1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
code { background: #8882; padding: 0 .25rem }
</style>
</head>
<body>
<h1>Octet</h1>
<p>This service separates songs: one song in, eight aligned tracks out (vocals, drums, bass, other,
original, full, instrumental, acapella).</p>
<p>Send a song: <code>curl -F file=@song.mp3 http://HOST:PORT/v1/jobs</code><br>
Look at it: <code>curl http://HOST:PORT/v1/jobs/ID</code><br>
Fetch its tracks: <code>curl -OJ http://HOST:PORT/v1/songs/ID/archive</code></p>
<p>All calls are described in <a href="/docs">/docs</a> and
<a href="/openapi.json">/openapi.json</a>.</p>
</body>
</html>
"""


@router.get("/", response_class=HTMLResponse, summary="What this is")
async def front_page() -> HTMLResponse:
    """A page for people; its 200 is enough for a load balancer."""
    return HTMLResponse(_PAGE)


@router.get(
    "/healthz", response_model=HealthView, responses=_UNAVAILABLE, summary="Are jobs accepted?"
)
async def healthz(service: ServiceHere, response: Response) -> HealthView:
    """200 once jobs are accepted: the queue and the store answer."""
    return _health(await service.trouble(), response)


@router.get(
    "/readyz", response_model=HealthView, responses=_UNAVAILABLE, summary="Send more work here?"
)
async def readyz(service: ServiceHere, response: Response) -> HealthView:
    """As /healthz, and besides there is room on the queue and no stop has been asked for."""
    trouble = await service.trouble() or await _unready(service)
    warnings = [*service.warnings, *([] if trouble else await _disagreements(service))]
    return _health(trouble, response).model_copy(update={"warnings": warnings})


async def _unready(service: Service) -> str:
    if service.closing.is_set():
        return "it is about to stop"
    try:
        full = await service.queue.depth() >= service.settings.max_queue
    except QueueError:
        return "the queue does not answer"
    return "too many jobs are waiting" if full else ""


async def _disagreements(service: Service) -> list[str]:
    try:
        return await service.disagreements()
    except QueueError:
        return []


def _health(trouble: str, response: Response) -> HealthView:
    if not trouble:
        return HealthView(status="ok")
    response.status_code = 503
    return HealthView(status="unavailable", reason=trouble)


for path, endpoint in (("/", front_page), ("/healthz", healthz), ("/readyz", readyz)):
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
