"""Errors as answers: a kind and a hint, and nothing of what the service has inside."""

from __future__ import annotations

import json

import pytest

from octet.api.errors import answer_to
from octet.errors import (
    ObjectMissingError,
    ObjectTooLargeError,
    OctetError,
    QueueUnavailableError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
    StorageUnavailableError,
)


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        (QueueUnavailableError, 503, "the queue does not answer"),
        (StorageUnavailableError, 503, "the store does not answer"),
        (StorageError, 503, "the store does not answer"),
        (StorageFullError, 503, "the store has no room"),
        (StorageRefusedError, 503, "the store refuses this"),
    ],
)
def test_trouble_behind_the_service_is_told_apart_without_details(
    kind: type[OctetError], status: int, detail: str
) -> None:
    # when such an error is answered, by each of the two APIs
    error = kind("the bucket x at http://10.0.0.7:9000 failed", "raise the quota of user octet")
    answer, lab = answer_to(error, lab=False), answer_to(error, lab=True)
    # then it says what kind of trouble it is, and when to come again
    problem = json.loads(bytes(answer.body))
    assert (answer.status_code, problem["code"], problem["detail"]) == (status, kind.code, detail)
    assert lab.status_code == status
    assert detail in json.loads(bytes(lab.body))["reason"]
    assert answer.headers["Retry-After"] == lab.headers["Retry-After"] == "5"
    # and nothing about the store
    assert b"10.0.0.7" not in bytes(answer.body) + bytes(lab.body)
    assert b"quota" not in bytes(answer.body) + bytes(lab.body)


@pytest.mark.parametrize(
    ("kind", "status"), [(ObjectMissingError, 404), (ObjectTooLargeError, 413)]
)
def test_what_the_client_can_mend_has_a_status_of_its_own(
    kind: type[OctetError], status: int
) -> None:
    assert answer_to(kind("a reason"), lab=False).status_code == status
    assert answer_to(kind("a reason"), lab=True).status_code == status
