"""`octet worker`: separates the songs that wait on the queue."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from octet.settings import SeparationSettings, ServiceSettings, read_settings


def worker(
    model: Annotated[str | None, typer.Option(help="Name or folder of the model.")] = None,
) -> None:
    """Run a worker: it takes songs from the queue and puts their tracks into the bucket.

    SIGTERM or Ctrl-C: the song under way is finished within OCTET_GRACE seconds or handed back.
    """
    from octet.jobs.server import queue_url
    from octet.logbook import set_up_logging
    from octet.worker.supervisor import Supervisor

    service = read_settings(ServiceSettings)
    hidden = (service.minio_secret_key, service.webhook_secret)
    secrets = [secret.get_secret_value() for secret in hidden if secret is not None]
    set_up_logging("worker", service.log_level, queue_url(service), secrets)
    defaults = read_settings(SeparationSettings, model=model)
    asyncio.run(Supervisor(service, defaults).run())
