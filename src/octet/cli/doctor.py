"""`octet doctor`: what is installed, and what would be used, and why."""

from __future__ import annotations

import asyncio
import difflib
import platform
import re
import shutil
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from octet import __version__
from octet.cli.console import AsJson, counted, say_json, say_table
from octet.errors import ObjectMissingError, OctetError
from octet.settings import SeparationSettings, ServiceSettings, read_settings, variable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydantic_settings import BaseSettings

PACKAGES = ("openvino", "av", "lameenc", "soxr", "numpy", "torch", "demucs", "diffq", "obstore")
OPTIONAL = {
    "torch": "GPUs, and converting Demucs' models: octet-stems[demucs]",
    "demucs": "Demucs' models: octet-stems[demucs]",
    "diffq": "quantised models: octet-stems[demucs]",
}


_ANSWERS_WITHIN = 5.0

_OF_A_SERVICE = {"redis_host", "redis_url", "minio_endpoint", "storage", "api_keys"}
"""Settings that nobody gives but for a service."""

_CLIENTS = ("OCTET_URL", "OCTET_KEY", "OCTET_FAILPOINT")

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which runtime, precision and device would be used, and why."""
    settings = read_settings(SeparationSettings)
    facts = {
        **_machine(),
        **_packages(),
        **_choice(settings),
        **_places(settings),
        **_queue(settings),
        **_service(),
    }
    if as_json:
        say_json(facts)
    else:
        say_table(facts.items())


def _machine() -> dict[str, str]:
    from octet.separation.runtimes.cpu import available_cores
    from octet.separation.runtimes.openvino import cpu_name

    return {
        "octet": __version__,
        "python": f"{platform.python_version()} on {sys.platform} ({platform.machine()})",
        "processor": f"{cpu_name().strip()}, {available_cores()} cores to use",
    }


def _packages() -> dict[str, str]:
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"not installed (for {OPTIONAL[name]})" if name in OPTIONAL else "missing"


def _choice(settings: SeparationSettings) -> dict[str, str]:
    from octet.separation.models.loading import parts_of, runtimes_of
    from octet.separation.runtimes.choice import choose

    try:
        choices = [
            choose(settings.device, settings.precision, available=runtimes_of(part))
            for part in parts_of(settings.model)
        ]
    except OctetError as error:
        return {"model": settings.model, "would use": f"nothing: {error}"}
    used = [
        f"{choice.runtime} on {choice.device} ({choice.device_name.strip()}) in {choice.precision}"
        for choice in choices
    ]
    return {
        "model": settings.model,
        "would use": "; ".join(dict.fromkeys(used)),
        "because": "; ".join(dict.fromkeys(choice.reason for choice in choices)),
    }


def _queue(separation: SeparationSettings) -> dict[str, str]:
    """What may lose accepted jobs, and what is wrong with workers, if a queue is configured."""
    from octet.api.health import worker_warnings
    from octet.jobs.durability import durability
    from octet.jobs.queue import JobQueue
    from octet.jobs.server import connect, queue_url
    from octet.results.recipe import Offer

    settings = read_settings(ServiceSettings)
    if not settings.model_fields_set & {"redis_host", "redis_url"}:
        return {}

    async def look() -> tuple[list[str], list[str]]:
        default = Offer.of(separation, {}).default
        async with asyncio.timeout(_ANSWERS_WITHIN), connect(queue_url(settings)) as client:
            return await durability(client), await worker_warnings(JobQueue(client), default)

    try:
        found, workers = asyncio.run(look())
    except (OctetError, TimeoutError) as error:
        return {"queue": f"does not answer: {error}" if str(error) else "does not answer"}
    return {
        "queue": "; ".join(found) or "keeps what it has accepted",
        "workers": "; ".join(workers) or "are fit, and have this default",
    }


def _places(settings: SeparationSettings) -> dict[str, str]:
    from octet.separation.models.cache import Cache

    return {
        "cache": str(Cache(settings.cache).folder),
        "scratch": f"{settings.scratch_folder}{_room(settings.scratch_folder)}",
    }


def _room(folder: Path) -> str:
    """The room that is left in a folder, in brackets; empty if it cannot be told."""
    try:
        return f" ({shutil.disk_usage(folder).free / 2**30:.1f} GiB free)"
    except OSError as error:
        return f" ({error.strerror})"


def _service() -> dict[str, str]:
    """The store, the keys and the secret of a service, if one is configured."""
    settings = read_settings(ServiceSettings)
    if not settings.model_fields_set & _OF_A_SERVICE:
        return {}
    keys = counted(len(settings.api_keys), "API key")
    if not settings.api_keys:
        whom = "everybody who reaches it" if settings.open else "this machine alone"
        keys = f"none: the API serves {whom} (octet key makes one)"
    return {"store": _store(settings), "keys": keys, "webhook secret": _secret(settings)}


def _store(settings: ServiceSettings) -> str:
    """Whether the store answers and has the buckets."""
    from octet.storage.open import open_buckets

    async def look() -> str:
        buckets = open_buckets(settings, patience=_ANSWERS_WITHIN, retries=0)
        async with asyncio.timeout(_ANSWERS_WITHIN):
            for bucket in (buckets.queue, buckets.output):
                with suppress(ObjectMissingError):
                    await bucket.head("doctor/none")
            room = await buckets.output.room()
        return "answers" if room is None else f"answers, {room / 2**30:.1f} GiB free"

    try:
        return f"{settings.storage}: {asyncio.run(look())}"
    except TimeoutError:
        return f"{settings.storage}: does not answer"
    except OctetError as error:
        return f"{settings.storage}: {error}"


def _secret(settings: ServiceSettings) -> str:
    """Whether events can be signed, and with what."""
    from octet.outbound.webhooks import check_outbound

    try:
        check_outbound(settings)
    except OctetError as error:
        return str(error)
    return "is set" if settings.webhook_secret else "made by the service, kept with the queue"


def unknown_variables(environment: Iterable[str]) -> list[tuple[str, str | None]]:
    """Variables that look like settings and are none, each with the setting that is nearest.

    What Kubernetes sets beside a Service called "octet" is not among them.
    """
    kinds: tuple[type[BaseSettings], ...] = (SeparationSettings, ServiceSettings)
    known = {*_CLIENTS, *(variable(kind, name) for kind in kinds for name in kind.model_fields)}
    found = []
    for name in sorted(environment):
        upper = name.upper()
        if upper.startswith("OCTET_") and upper not in known and not _OF_KUBERNETES.search(upper):
            near = difflib.get_close_matches(upper, known, 1, 0.75)
            found.append((name, near[0] if near else None))
    return found
