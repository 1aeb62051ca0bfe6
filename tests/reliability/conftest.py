"""The services of the workers' tests; see tests/worker/service.py."""

from tests.ceph import ceph
from tests.worker.conftest import ceph_service, odd_models, service

__all__ = ["ceph", "ceph_service", "odd_models", "service"]
