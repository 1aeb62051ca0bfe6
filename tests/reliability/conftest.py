"""The service of the workers' tests; see tests/worker/service.py."""

from tests.worker.conftest import service

__all__ = ["service"]
