"""Every key of Octet in Redis, and what lies there.

`toWorker` and `logging` are the contract's; all the rest begins with `octet:`. The scripts in
lua/ have them as K.QUEUE and so on (see server.py), so that they are written only here.
Octet uses one Redis, not a cluster: a script touches keys that it finds out while it runs.
"""

from __future__ import annotations

QUEUE = "toWorker"
"""List: messages of normal priority. Pushed on the left, taken from the right."""

QUEUE_HIGH = "octet:queue:high"
"""List like `toWorker`: taken before it."""

QUEUE_LOW = "octet:queue:low"
"""List like `toWorker`: taken when nothing else waits."""

STRAIGHT = "octet:queue:straight"
"""String: the last message of high priority that went straight onto an empty `toWorker`, where
a blocked worker wakes at once."""

DELAYED = "octet:delayed"
"""Sorted set: id of a job that waits for another attempt -> time (ms) at which its message goes on
the queue again."""

INFLIGHT = "octet:inflight"
"""List: ids of the jobs that are running. Its length is the number that a scaler has to read
beside that of `toWorker`: scaling in below it would stop running work."""

WORKERS = "octet:workers"
"""Sorted set: worker id -> time (ms) at which its heartbeat runs out."""

WORKERS_ABOUT = "octet:workers:about"
"""Hash: worker id -> what it announces of itself, JSON."""

WORKER_JOBS = "octet:worker:"
"""List `octet:worker:<id>:jobs`: messages that the worker has moved to itself and not claimed
yet. Empty but for the milliseconds between the two. String `octet:worker:<id>:from`: `high` or
`low` while what lies there came from that queue."""

JOB = "octet:job:"
"""Hash `octet:job:<id>`: the record of a job (fields in job.py), or of an import (fields in
import_job.py), whose id begins with `import-`, as no job's does."""

CALLBACKS = "octet:callbacks:"
"""List `octet:callbacks:<job id>`: its callbacks, JSON objects of strings (message.py)."""

JOBS = "octet:jobs"
"""Sorted set: id of every recorded job -> time of its creation (microseconds)."""

JOBS_IN_STATE = "octet:jobs:"
"""Sorted sets `octet:jobs:<state>`: as `octet:jobs`, for the jobs in that state."""

ENDED = "octet:ended"
"""Sorted set: id of a done or cancelled job -> time (ms) of its end, for its expiry."""

DEAD = "octet:dead"
"""Sorted set: id of a dead letter -> time (ms)."""

DEAD_LETTER = "octet:dead:"
"""Hash `octet:dead:<id>`: message (the raw bytes), code, reason, job, time."""

DEAD_COUNT = "octet:dead-count"
"""String: counts unreadable messages, for their ids."""

DEAD_PAST = "octet:dead-past:"
"""String `octet:dead-past:<id>`: `replayed` or `discarded`, what became of a letter. Expires."""

IDEMPOTENCY = "octet:idempotency:"
"""String `octet:idempotency:<SHA-256 of the key>`: digest of the request, a space, the job's id.
Expires."""

CHOSEN = "octet:chosen:"
"""String `octet:chosen:<song>`: key and fingerprint of the recipe last asked for by a client of the
lab's API, which knows songs alone. Expires."""

OUTBOX = "octet:webhooks"
"""Sorted set: delivery id -> time (ms) at which it is due (or its lease runs out)."""

OUTBOX_MADE = "octet:webhooks-made"
"""Sorted set: delivery id -> time (ms) at which it was made; the oldest go first beyond a bound."""

DELIVERY = "octet:webhooks:"
"""Hash `octet:webhooks:<delivery id>`: a delivery (fields in outbox.py)."""

IMPORTS = "octet:imports"
"""Sorted set: id of an import that has not ended -> time (ms) at which it is due (or its lease runs
out)."""

IMPORTS_IN_STATE = "octet:imports:"
"""Sorted sets `octet:imports:<state>`: id of every recorded import that has no job (it is fetching,
failed or cancelled) -> time of its creation (microseconds)."""

IMPORTS_ENDED = "octet:imports-ended"
"""Sorted set: id of an import that has ended -> time (ms) of its end; the oldest go first beyond a
bound."""

WEBHOOK_SECRET = "octet:webhook-secret"  # noqa: S105  # the name of a key, not what it holds
"""String: the secret that signs events, made by whoever needs it first, unless a setting
names one."""

EVENTS = "octet:events:"
"""Channel `octet:events:<job id>`: the job's state, each time that its record changes."""

REAPED = "octet:reaped"
"""String: when somebody last put back what has no living owner (ms)."""

RECOVERED = "octet:recovered"
"""String: when somebody last looked for jobs whose message is gone (ms)."""

DROPPED = "octet:dropped"
"""Hash: `letters` and `deliveries`, how many went because there were too many."""

LOGGING = "logging"
"""List: log lines, the oldest on the left, for a reader that pops on the left."""


def worker_jobs(worker: str) -> str:
    """The private list of a worker."""
    return f"{WORKER_JOBS}{worker}:jobs"
