"""Deletes results and uploads that are older than the service keeps them, if it says so.

What a waiting or running job needs stays. A submission may come in between: one that finds its
result gone has it computed anew; one that has seen its upload, which is deleted before the job is
on the queue, finds it again, because a copy is put back once the job is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from octet.errors import ObjectMissingError, SettingError
from octet.results import publication
from octet.results.keys import STAGING, ResultKeys

if TYPE_CHECKING:
    from octet.jobs.queue import JobQueue
    from octet.settings import ServiceSettings
    from octet.storage.bucket import Bucket
    from octet.storage.open import Buckets

log = logging.getLogger(__name__)

_LOOKS = 20
_LOOK_EVERY = 0.5
"""Seconds between looks for submissions that had seen an upload before it went: ten seconds are
longer than one takes from there to the queue, and a job looks for its song several times."""

_AT_ONCE = 100
"""Uploads put aside at once, while their submissions are waited for."""


async def expire(buckets: Buckets, queue: JobQueue, settings: ServiceSettings) -> None:
    """Deletes what is too old by the settings; nothing unless they name days.

    Raises:
        QueueUnavailableError: the queue does not answer.
        StorageError: the store refuses, or does not answer.
    """
    if settings.keep_results is not None:
        await _expire_results(buckets.output, queue, timedelta(days=settings.keep_results))
    if settings.keep_uploads is not None:
        await _expire_uploads(buckets.queue, queue, timedelta(days=settings.keep_uploads))


async def _expire_results(output: Bucket, queue: JobQueue, age: timedelta) -> None:
    before = datetime.now(UTC) - age
    old = [
        keys
        async for entry in output.list()
        if entry.modified < before and (keys := _result_of(entry.key)) is not None
    ]
    for start in range(0, len(old), _AT_ONCE):
        needed = await _needed(queue)
        for keys in old[start : start + _AT_ONCE]:
            if keys.name not in needed and await publication.withdraw(output, keys):
                log.info("the result %s was deleted, older than OCTET_KEEP_RESULTS", keys.manifest)


async def _expire_uploads(bucket: Bucket, queue: JobQueue, age: timedelta) -> None:
    before = datetime.now(UTC) - age
    old = [entry.key async for entry in bucket.list("queue") if entry.modified < before]
    for start in range(0, len(old), _AT_ONCE):
        needed = await _needed(queue)
        some = [key for key in old[start : start + _AT_ONCE] if _song_of(key) not in needed]
        await _delete_uploads(bucket, queue, some)


async def _delete_uploads(bucket: Bucket, queue: JobQueue, uploads: list[str]) -> None:
    aside: dict[str, str] = {}
    try:
        for key in uploads:
            copy = f"{STAGING}/expired/{uuid.uuid4().hex}"
            with contextlib.suppress(ObjectMissingError):  # another worker does the same
                await bucket.copy(key, copy)
                aside[key] = copy
                await bucket.delete(key)
        for _ in range(_LOOKS if aside else 0):
            needed = await _needed(queue)
            for key in [key for key in aside if _song_of(key) in needed]:
                await _put_back(bucket, aside[key], key)
                await bucket.delete(aside.pop(key))
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        for key, copy in aside.items():
            await bucket.delete(copy)
            log.info("the upload %s was deleted, older than OCTET_KEEP_UPLOADS", key)


async def _put_back(bucket: Bucket, copy: str, key: str) -> None:
    try:
        await bucket.head(key)  # somebody has uploaded it anew
    except ObjectMissingError:
        await bucket.copy(copy, key)


async def _needed(queue: JobQueue) -> set[str]:
    """The songs of all jobs that wait or run, or that imports are about to submit. In this order:
    none slips through in between.
    """
    coming = await queue.coming()
    waiting = await queue.queue()
    running = (await queue.jobs(state="running", limit=10_000)).jobs
    recorded = (await queue.jobs(state="waiting", limit=10_000)).jobs
    return {*coming, *waiting, *(job.song for job in (*running, *recorded))}


def _song_of(upload: str) -> str:
    return upload.rpartition("/")[2].partition(".")[0]


def _result_of(key: str) -> ResultKeys | None:
    """The result whose manifest this is; None for any other object."""
    *folders, file = key.split("/")
    try:
        if not folders and file.endswith("-manifest.json"):
            return ResultKeys(file.removesuffix("-manifest.json"))
        if len(folders) == 2 and file == "manifest.json":
            return ResultKeys(*folders)
    except SettingError:
        return None
    return None
