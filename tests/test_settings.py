"""Settings: read from the environment, explained when wrong, and all of them documented."""

from pathlib import Path

import pytest

from octet.errors import SettingError
from octet.settings import SeparationSettings, ServiceSettings, describe, read_settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def table(kind) -> str:
    rows = (f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in describe(kind))
    return "\n".join(("| variable | default | meaning |", "| --- | --- | --- |", *rows))


@pytest.mark.parametrize("kind", [SeparationSettings, ServiceSettings])
def test_every_setting_is_documented_as_it_is(kind):
    # given the document, when it is compared with the code, then it has every row, word for word
    expected = table(kind)
    assert expected in DOCUMENT.read_text(), f"docs/settings.md needs this table:\n{expected}"


def test_the_contracts_names_are_read(monkeypatch):
    # given the environment that the contract names
    monkeypatch.setenv("REDIS_HOST", "queue.example")
    monkeypatch.setenv("REDIS_PORT", "6380")
    monkeypatch.setenv("MINIO_ENDPOINT", "https://s3.example")
    monkeypatch.setenv("QUEUE_BUCKET", "songs")
    # when the settings are read
    settings = read_settings(ServiceSettings)
    # then they hold it
    assert (settings.redis_host, settings.redis_port) == ("queue.example", 6380)
    assert settings.minio_endpoint == "https://s3.example"
    assert settings.queue_bucket == "songs"


def test_what_is_given_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("OCTET_MODEL", "htdemucs")
    assert read_settings(SeparationSettings).model == "htdemucs"
    assert read_settings(SeparationSettings, model="pocket").model == "pocket"
    assert read_settings(SeparationSettings, model=None).model == "htdemucs"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCTET_OVERLAP", "1.5"),
        ("OCTET_BITS", "17"),
        ("OCTET_DEVICE", "tpu"),
        ("OCTET_MAX_SECONDS", "long"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(monkeypatch, name, value):
    # given a variable that makes no sense, when the settings are read, then both are named
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=rf"{name} is .*{value}"):
        read_settings(SeparationSettings)


def test_secrets_stay_out_of_messages(monkeypatch):
    # given a secret in a variable that is wrong for another reason
    monkeypatch.setenv("MINIO_SECRET_KEY", "sesame-sesame")
    settings = read_settings(ServiceSettings)
    # when the settings are printed, then it is not in there
    assert "sesame" not in repr(settings)
    assert "sesame" not in str(settings)


def test_lists_are_split_at_commas(monkeypatch):
    monkeypatch.setenv("OCTET_FALLBACK", "htdemucs, original")
    assert read_settings(ServiceSettings).fallback == ("htdemucs", "original")
    monkeypatch.setenv("OCTET_FALLBACK", "none")
    assert read_settings(ServiceSettings).fallback == ()


def test_an_api_key_must_be_a_hash(monkeypatch):
    # given a key in plain text where its hash belongs
    monkeypatch.setenv("OCTET_API_KEYS", "my-secret-key")
    with pytest.raises(SettingError, match="OCTET_API_KEYS") as caught:
        read_settings(ServiceSettings)
    # then the message does not give it away
    assert "my-secret-key" not in str(caught.value)
