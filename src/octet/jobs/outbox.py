"""The outbox: deliveries to callbacks, kept until they have arrived or are given up.

A job's deliveries are put here in the very step that ends the job, so that no crash loses one.
A deliverer (outbound/webhooks.py) claims what is due under a lease, and then either
reschedules or finishes it. After a crash in between the lease runs out and it is due again:
each delivery is made at least once, always with the same id.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from octet.jobs import keys
from octet.jobs.server import reply_of, run_script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from octet.jobs.job import CallbackKind


@dataclass(frozen=True)
class Delivery:
    """One POST to one address.

    Attributes:
        id: stays the same over all attempts (the header webhook-id).
        token: names the claim of this delivery.
        url: where to.
        kind: `lab` (POST `body` as it is) or `event` (POST `body`, signed).
        body: JSON text, the same at each attempt. Of a `lab` callback its `data`; of an event
            {"type": "job.done" | "job.failed" | "job.cancelled", "timestamp": ISO 8601, "data":
            {"id", "song", "state", "outcome", "error": null | {"code", "message"}}}, and in
            "data" also "import", the id of the import that asked for it, if one did.
        outcome: how the job ended: complete, fallback, failed or cancelled; `lab` callbacks
            are sent only for the first two.
        job_id: the job's.
        attempts: deliveries tried before this one.
        created: when the job ended, seconds since 1970.
    """

    id: str
    token: str
    url: str
    kind: CallbackKind
    body: str
    outcome: str
    job_id: str
    attempts: int
    created: float


class Outbox:
    """All deliveries that are not finished.

    Args:
        client: made by server.connect().
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def add(self, url: str, body: str, *, kind: CallbackKind = "event") -> str:
        """Adds a delivery that is no job's end (a test event), due at once. Returns its id."""
        name = f"msg_{uuid.uuid4().hex}"
        await run_script(self._redis, "deliver", name, url, body, kind)
        return name

    async def claim(self, limit: int = 10, *, lease: float = 60.0) -> Sequence[Delivery]:
        """What is due, the longest due first; nobody else gets it for `lease` seconds (atomic).

        Args:
            limit: at most so many.
            lease: longer than one attempt can take.
        """
        token = uuid.uuid4().hex
        found = await run_script(self._redis, "due", limit, int(lease * 1000), token)
        return [_delivery(dict(zip(flat[::2], flat[1::2], strict=True)), token) for flat in found]

    async def next_due(self) -> float | None:
        """Seconds until something is due, 0 when something is; None when there is nothing."""
        first = await reply_of(self._redis.zrange(keys.OUTBOX, 0, 0, withscores=True))
        seconds, micros = await reply_of(self._redis.time())
        if not first:
            return None
        return float(max(0.0, first[0][1] / 1e3 - (seconds + micros / 1e6)))

    async def pending(self) -> int:
        """How many are not finished."""
        return int(await reply_of(self._redis.zcard(keys.OUTBOX)))

    async def reschedule(self, delivery: Delivery, delay: float) -> bool:
        """The attempt failed: it counts, and the next is due in `delay` seconds (atomic).

        Returns:
            False when the lease has run out and somebody else has it; nothing is changed then.
        """
        return bool(
            await run_script(
                self._redis, "postpone", delivery.id, delivery.token, int(delay * 1000)
            )
        )

    async def finish(self, delivery: Delivery) -> bool:
        """It was delivered, or is given up: it is forgotten (atomic).

        Returns:
            False when somebody else has it by now; nothing is changed then.
        """
        return bool(await run_script(self._redis, "delivered", delivery.id, delivery.token))


def _delivery(record: Mapping[bytes, bytes], token: str) -> Delivery:
    text = {name.decode(): value.decode() for name, value in record.items()}
    created = float(text["created"]) / 1e3
    kind = cast("CallbackKind", text["kind"])
    return Delivery(
        id=text["id"],
        token=token,
        url=text["url"],
        kind=kind,
        body=text["body"] if text["body"] else _event(text, created),
        outcome=text["outcome"],
        job_id=text["job"],
        attempts=int(text["attempts"]),
        created=created,
    )


def _event(text: Mapping[str, str], created: float) -> str:
    error = {"code": text["error_code"], "message": text["error"]} if text["error_code"] else None
    data: dict[str, Any] = {
        "id": text["job"],
        "song": text["song"] or None,
        "state": text["state"],
        "outcome": text["outcome"] if text["state"] == "done" else None,
        "error": error,
    }
    if text.get("import"):
        data["import"] = text["import"]
    moment = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    event = {
        "type": f"job.{text['state']}",
        "timestamp": moment.replace("+00:00", "Z"),
        "data": data,
    }
    return json.dumps(event, separators=(",", ":"))
