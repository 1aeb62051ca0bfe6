"""/v1/models: what a job may ask for, and whose default that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from octet.separation.models.registry import REGISTRY
from tests.api.conftest import PLAIN, serving

if TYPE_CHECKING:
    import redis

    from octet.settings import ServiceSettings


def test_the_models(api: httpx.Client) -> None:
    models = {model["name"]: model for model in api.get("/v1/models").json()["models"]}
    # a model of vocals alone stands there with the one that separates the rest
    partial = {name for name, entry in REGISTRY.items() if "drums" not in entry.sources}
    assert {"spleeter", "melband", "bs_roformer"} <= partial
    assert set(models) == {*REGISTRY} - partial | {f"{name}+pocket" for name in partial}
    assert models["pocket"]["default"] is True
    assert models["pocket"]["commercial"] is True
    assert models["htdemucs"]["commercial"] is False
    assert "guitar" in models["htdemucs_6s"]["stems"]


def test_the_api_marks_its_own_default(
    settings: ServiceSettings, valkey: redis.Redis, store: object
) -> None:
    with serving(settings, model="htdemucs") as url:
        found = httpx.get(f"{url}/v1/models", verify=PLAIN).json()["models"]

    assert [model["name"] for model in found if model["default"]] == ["htdemucs"]


def test_a_cascade_may_be_the_default(
    settings: ServiceSettings, valkey: redis.Redis, store: object
) -> None:
    with serving(settings, model="pocket+pocket") as url:
        found = httpx.get(f"{url}/v1/models", verify=PLAIN).json()["models"]

    default = [model for model in found if model["default"]]
    assert [(model["name"], model["licence"]) for model in default] == [
        ("pocket+pocket", "CC0-1.0")
    ]


def test_what_the_policy_forbids_is_not_offered(
    settings: ServiceSettings, valkey: redis.Redis, store: object
) -> None:
    with serving(settings, model_policy="commercial") as url:
        found = httpx.get(f"{url}/v1/models", verify=PLAIN).json()["models"]

    assert found
    assert all(model["commercial"] for model in found)
