"""The services of the workers' tests; see tests/worker/service.py."""

from tests.worker.conftest import ceph_service, odd_models, service

__all__ = ["ceph_service", "odd_models", "service"]
