"""Callbacks are made by the workers, with a secret that all of them share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from octet.jobs.job import Callback, JobRequest
from octet.outbound.webhooks import service_secret
from tests.worker.receiver import Receiver
from tests.worker.service import Service, song

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


async def test_the_lab_s_callback_gets_its_data(service: Service, receiver: Receiver) -> None:
    name = await service.put(song())
    data: dict[str, Any] = {"mp3": "<path>", "data": "to be returned"}
    await service.push(name, callback={"url": receiver.url, "data": data})

    async with service.worker(allow_hosts=("127.0.0.1",)):
        await service.ended(name)
        [request] = await receiver.requests(1)

    assert json.loads(request.body) == data


async def test_an_event_is_signed_with_the_service_s_secret(
    service: Service, receiver: Receiver
) -> None:
    name = await service.put(b"not a song")
    hook = Callback(receiver.url, kind="event")
    await service.queue.submit(JobRequest(song=name, callbacks=(hook,)))

    async with service.worker(allow_hosts=("127.0.0.1",)):
        await service.ended(name)
        [request] = await receiver.requests(1)

    secret = await service_secret(service.client, service.settings())
    event = Webhook(secret).verify(request.body, request.headers)
    assert event["type"] == "job.failed"
    assert event["data"]["error"]["code"] == "not-audio"
