"""A whole worker as a process of its own: `python -m tests.worker.program`.

Like `octet worker`, with the odd models (odd_compute.py). Settings come from the environment.
"""

from __future__ import annotations

import asyncio
import sys

from octet.jobs.server import queue_url
from octet.logbook import set_up_logging
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from octet.worker.supervisor import Supervisor
from tests.worker import odd_compute

COMPUTE = (sys.executable, "-m", "tests.worker.odd_compute")

if __name__ == "__main__":
    REGISTRY.update(odd_compute.entries())
    service = read_settings(ServiceSettings)
    set_up_logging("worker", "debug", queue_url(service))
    asyncio.run(Supervisor(service, read_settings(SeparationSettings), compute=COMPUTE).run())
