"""Who may ask: keys, and pages of other sites."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from octet.api.app import create_app
from octet.api.auth import OPEN_PATHS, check_binding, hash_key, owner_of
from octet.errors import SettingError
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.api.answers import problem
from tests.api.songs import song

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Start

KEY = "a long and random key"


def routes() -> list[tuple[str, str]]:
    """Method and address of every route, its parameters filled in."""
    app = create_app(read_settings(ServiceSettings), read_settings(SeparationSettings))
    found = []
    for path, operations in app.openapi()["paths"].items():
        found += [(method.upper(), re.sub(r"\{.*?\}", "a" * 64, path)) for method in operations]
    return [*found, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nothing/at/all")]


def test_every_route_but_health_needs_a_key(start: Start) -> None:
    api = start(api_keys=(hash_key("another key"), hash_key(KEY)))
    asked = routes()
    assert len(asked) > 20
    for method, path in asked:
        for wrong in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}):
            answer = api.request(method, path, headers=wrong)
            if path in OPEN_PATHS:
                assert answer.status_code == 200, path
                assert api.request(method, f"{path}/", headers=wrong).status_code == 200, path
                continue
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            if path.startswith("/apiv1/"):
                assert list(answer.json()) == ["reason"]
            else:
                assert problem(answer, 401) == "unauthorized"


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer {KEY}"}],
)
def test_a_key_opens(start: Start, headers: dict[str, str]) -> None:
    api = start(api_keys=(hash_key("another key"), hash_key(KEY)))
    assert api.post("/v1/jobs", content=song(1), headers=headers).status_code == 202
    assert api.get("/apiv1/queue", headers=headers).status_code == 200
    assert api.get("/openapi.json", headers={**headers, "Host": "example.org"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.5", "example.org", ""],  # noqa: S104  # it must not be bound
)
def test_without_keys_nobody_else_is_served(host: str) -> None:
    with pytest.raises(SettingError, match="without API keys"):
        check_binding(read_settings(ServiceSettings), host)
    check_binding(read_settings(ServiceSettings, open=True), host)
    check_binding(read_settings(ServiceSettings, api_keys=(hash_key(KEY),)), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_without_keys_this_machine_is_served(host: str) -> None:
    check_binding(read_settings(ServiceSettings), host)


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "10.0.0.1:5000", "[::2"])
def test_a_rebound_name_is_turned_away(api: httpx.Client, host: str) -> None:
    assert problem(api.get("/v1/queue", headers={"Host": host}), 403) == "wrong-host"


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:5000", "octet.localhost"])
def test_names_of_this_machine_are_fine(api: httpx.Client, host: str) -> None:
    assert api.get("/v1/queue", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_is_turned_away(api: httpx.Client, headers: dict[str, str]) -> None:
    answer = api.get(f"/apiv1/remove/{'a' * 64}/vocals", headers=headers)
    assert answer.status_code == 403
    assert problem(api.post("/v1/jobs", content=song(1), headers=headers), 403) == "wrong-origin"


def test_a_page_of_our_own_is_fine(api: httpx.Client) -> None:
    own = {"Origin": str(api.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    answer = api.post("/v1/jobs", content=song(1), headers=own)
    assert answer.status_code == 202
    assert "access-control-allow-origin" not in answer.headers


def test_keys_are_not_in_the_logs(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    api = start(api_keys=(hash_key(KEY),))
    with caplog.at_level("DEBUG"):
        caplog.handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
        for key in (KEY, f"{KEY} wrong"):
            for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
                api.post("/v1/jobs", content=song(1), headers=headers)
                api.post("/v1/jobs", content=b"no song", headers=headers)
    assert "waits" in caplog.text
    assert KEY not in caplog.text
    assert hash_key(KEY) not in caplog.text


def test_a_page_of_this_very_site_is_fine_behind_a_proxy(api: httpx.Client) -> None:
    # given a proxy that passes requests on under its own name for this service
    headers = {"Origin": "https://music.example.org", "Sec-Fetch-Site": "same-origin"}
    # then the browser's word counts, and other words of the page do not
    assert api.post("/v1/jobs", content=song(1), headers=headers).status_code == 202
    headers = {"Sec-Fetch-Site": "none"}
    assert api.get("/docs", headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["Origin", "Referer"])
def test_a_mad_address_of_a_page_is_a_foreign_one(api: httpx.Client, name: str) -> None:
    assert problem(api.get("/v1/jobs", headers={name: "http://["}), 403) == "wrong-origin"


def test_an_image_on_another_page_deletes_nothing_without_keys(api: httpx.Client) -> None:
    answer = api.get(
        f"/apiv1/remove/{'a' * 64}/vocals", headers={"Referer": "http://attacker.example/"}
    )
    assert answer.status_code == 403


def test_an_open_service_answers_browsers_by_names_that_nobody_else_can_point_here(
    start: Start,
) -> None:
    api = start(open=True, cors_origins=("https://music.example.org",))
    for host in ("192.168.1.5:5000", "rest-service:5000", "music.example.org", "octet.local"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert api.get("/v1/queue", headers=headers).status_code == 200, host
    # a page that had its own name pointed here
    host = "rebound.attacker.example:5000"
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert problem(api.get("/v1/queue", headers=headers), 403) == "wrong-host"
    # and a program, which is no browser
    assert api.get("/v1/queue", headers={"Host": "ingress.example.org"}).status_code == 200


def test_pages_of_named_origins_may_use_the_api(start: Start) -> None:
    # given a service with keys and one origin
    origin = "https://music.example.org"
    api = start(api_keys=(hash_key(KEY),), cors_origins=(origin,))
    # when a browser asks whether a page of it may send a song, then it may, without a key yet
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    answer = api.options("/v1/jobs", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    # and it can read the answers, and their errors
    for key, status in ((KEY, 202), ("wrong", 401)):
        headers = {"Origin": origin, "X-API-Key": key}
        answer = api.post("/v1/jobs", content=song(1), headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == origin
    # and another page cannot
    refused = api.options("/v1/jobs", headers={**preflight, "Origin": "https://example.com"})
    assert refused.status_code == 400


def test_clients_are_told_apart_by_their_keys_where_there_are_some(
    settings: ServiceSettings,
) -> None:
    locked = settings.model_copy(update={"api_keys": (hash_key("a"), hash_key("b"))})
    first, same = (
        owner_of(headers, locked) for headers in ({"x-api-key": "a"}, {"authorization": "Bearer a"})
    )
    assert first == same
    assert first not in ("", owner_of({"x-api-key": "b"}, locked))
    assert owner_of({"x-api-key": "a"}, settings) == ""
