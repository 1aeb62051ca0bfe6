"""/healthz and /readyz, for whoever starts, stops and balances this service; and the front page."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import HealthView
from octet.errors import OctetError

router = APIRouter(tags=["health"])

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
<p>All calls are described in <a href="docs">/docs</a> and
<a href="openapi.json">/openapi.json</a>.</p>
</body>
</html>
"""


@router.get("/", response_class=HTMLResponse, summary="What this is")
async def front_page() -> HTMLResponse:
    """A page for people; its 200 is enough for a load balancer."""
    return HTMLResponse(_PAGE)


@router.get("/healthz", response_model=HealthView, summary="Is it alive?")
async def healthz() -> HealthView:
    """200 as long as this process answers, whatever becomes of the queue and the store."""
    return HealthView(status="ok")


@router.get(
    "/readyz",
    response_model=HealthView,
    responses={503: {"model": HealthView, "description": "Service Unavailable"}},
    summary="Are jobs accepted?",
)
async def readyz(service: ServiceHere, response: Response) -> HealthView:
    """200 once jobs are accepted: queue and store answer, there is room, no stop is asked for."""
    trouble = await service.health.trouble()
    if trouble:
        response.status_code = 503
        return HealthView(status="unavailable", reason=trouble)
    try:
        warnings = await service.health.warnings()
    except OctetError:
        warnings = []
    return HealthView(status="ok", warnings=warnings)


for path, endpoint in (("/", front_page), ("/healthz", healthz), ("/readyz", readyz)):
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
