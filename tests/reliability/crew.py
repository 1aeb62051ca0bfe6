"""A crew of workers, each a process of its own, that are killed and replaced."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.worker.service import Service


@dataclass
class Member:
    """A worker: its name on the queue, and its process."""

    name: str
    process: subprocess.Popen[bytes]


class Crew:
    """Workers of one service.

    Args:
        service: theirs.
        environment: their settings.
    """

    def __init__(self, service: Service, **environment: str) -> None:
        self._service = service
        self._environment = environment
        self.members: list[Member] = []

    def hire(self, **environment: str) -> Member:
        """Starts one more."""
        name = f"worker-{uuid.uuid4().hex[:8]}"
        settings = {**self._environment, "OCTET_WORKER_ID": name, **environment}
        member = Member(name, self._service.start(**settings))
        self.members.append(member)
        return member

    def kill(self, member: Member) -> None:
        """SIGKILL, and forgets it."""
        member.process.kill()
        member.process.wait()
        self.members.remove(member)

    async def all_dead(self, seconds: float = 90.0) -> list[int]:
        """The exit statuses of all, once they have ended."""
        async with asyncio.timeout(seconds):
            while any(member.process.poll() is None for member in self.members):  # noqa: ASYNC110 - the system knows
                await asyncio.sleep(0.05)
        return [member.process.returncode for member in self.members]


@contextmanager
def crew(service: Service, **environment: str) -> Iterator[Crew]:
    """A crew, all of which is dead afterwards."""
    people = Crew(service, **environment)
    try:
        yield people
    finally:
        for member in people.members:
            member.process.kill()
        for member in people.members:
            member.process.wait()
