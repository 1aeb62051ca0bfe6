"""Settings: read from the environment, explained when wrong, and all of them documented."""

import re
from pathlib import Path

import pytest

from octet import Client
from octet.errors import SettingError
from octet.settings import (
    SeparationSettings,
    ServiceSettings,
    default_of,
    describe,
    read_settings,
)

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "settings.md"
SOURCE = ROOT / "src" / "octet"


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
        ("OCTET_DEVICE", "cuda:x"),
        ("OCTET_DEVICE", "cpu:1"),
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


def ports():
    names = (name for name, _, _ in describe(ServiceSettings))
    return [name for name in names if name.endswith("_PORT")]


@pytest.mark.parametrize("name", ports())
def test_a_service_link_of_kubernetes_is_no_value(monkeypatch, name):
    # given a Service whose link has the name of a setting: NAME_PORT=tcp://ADDRESS:PORT
    default = read_settings(ServiceSettings)
    monkeypatch.setenv(name, "tcp://10.96.0.10:8080")
    # when the settings are read
    settings = read_settings(ServiceSettings, redis_host="queue.example")
    # then it does not count: where the process listens, or another host's port, is not said by it
    assert settings.model_dump(exclude={"redis_host"}) == default.model_dump(exclude={"redis_host"})


@pytest.mark.parametrize("link", ["tcp://10.96.0.10:6380", "tcp://[fd00::a]:6380"])
def test_the_link_of_the_service_redis_gives_its_port(monkeypatch, link):
    monkeypatch.setenv("REDIS_PORT", link)
    assert read_settings(ServiceSettings).redis_port == 6380


@pytest.mark.parametrize("name", ports())
def test_a_port_that_is_no_link_is_still_refused(monkeypatch, name):
    monkeypatch.setenv(name, "tcp://10.96.0.10")
    with pytest.raises(SettingError, match=name):
        read_settings(ServiceSettings)


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


SAMPLES = {
    "OCTET_MODEL": "htdemucs",
    "OCTET_MODEL_POLICY": "commercial",
    "OCTET_TRUST_CHECKPOINT": "true",
    "OCTET_DEVICE": "cpu",
    "OCTET_PRECISION": "fp32",
    "OCTET_THREADS": "2",
    "OCTET_OVERLAP": "0.5",
    "OCTET_SHIFTS": "2",
    "OCTET_FORMAT": "flac",
    "OCTET_BITS": "24",
    "OCTET_BITRATE": "192",
    "OCTET_CACHE": "/cache",
    "OCTET_SCRATCH": "/scratch",
    "OCTET_MAX_BYTES": "1000",
    "OCTET_MAX_SECONDS": "60",
    "OCTET_MAX_CHANNELS": "2",
    "OCTET_DAMAGED": "refuse",
    "REDIS_HOST": "queue.example",
    "REDIS_PORT": "6380",
    "OCTET_REDIS_URL": "rediss://queue.example/1",
    "MINIO_ENDPOINT": "s3.example:9000",
    "MINIO_ACCESS_KEY": "who",
    "MINIO_SECRET_KEY": "sesame",
    "MINIO_SECURE": "true",
    "QUEUE_BUCKET": "songs",
    "OUTPUT_BUCKET": "tracks",
    "OCTET_STORAGE": "file:///songs",
    "OCTET_S3_REGION": "eu-north-1",
    "OCTET_PUBLIC_ENDPOINT": "https://s3.example",
    "OCTET_PRESIGN": "true",
    "OCTET_HOST": "::1",
    "OCTET_PORT": "5001",
    "OCTET_API_KEYS": "0" * 64,
    "OCTET_OPEN": "true",
    "OCTET_CORS_ORIGINS": "https://music.example.org",
    "OCTET_ROOT_PATH": "/octet",
    "OCTET_TRUSTED_PROXIES": "10.0.0.0/8",
    "OCTET_MAX_UPLOAD": "1000",
    "OCTET_MAX_QUEUE": "10",
    "OCTET_ALLOW_HOSTS": "10.0.0.0/8,localhost",
    "OCTET_WEBHOOK_SECRET": "whsec_" + "A" * 32,
    "OCTET_JOB_SECONDS": "60",
    "OCTET_KEEP_DAYS": "7",
    "OCTET_KEEP_RESULTS": "7",
    "OCTET_KEEP_UPLOADS": "7",
    "OCTET_MAX_DEAD": "100",
    "OCTET_MAX_DELIVERIES": "200",
    "OCTET_WORKER_ID": "worker-1",
    "OCTET_LEASE": "10",
    "OCTET_GRACE": "5",
    "OCTET_ATTEMPTS": "5",
    "OCTET_FALLBACK": "none",
    "OCTET_STALL": "60",
    "OCTET_LOAD_STALL": "600",
    "OCTET_STORE_PATIENCE": "30",
    "OCTET_MEMORY_LIMIT": "4096",
    "OCTET_METRICS_PORT": "9100",
    "OCTET_LOG_LEVEL": "debug",
}
CLIENT = {"OCTET_URL", "OCTET_KEY"}


def documented() -> list[str]:
    return re.findall(r"^\| `([A-Z0-9_]+)` \|", DOCUMENT.read_text(), re.MULTILINE)


def test_every_documented_variable_is_read(monkeypatch):
    # given a document that has each variable once
    assert sorted(documented()) == sorted({*SAMPLES, *CLIENT})
    for kind in (SeparationSettings, ServiceSettings):
        names = [name for name, _, _ in describe(kind)]
        before = read_settings(kind).model_dump()
        # when all of them are set to something else than their defaults
        for name in names:
            monkeypatch.setenv(name, SAMPLES[name])
        after = read_settings(kind).model_dump()
        # then each has changed its setting
        assert [field for field in before if before[field] == after[field]] == []


def test_the_client_reads_its_variables(monkeypatch):
    monkeypatch.setenv("OCTET_URL", "http://songs.example:80")
    monkeypatch.setenv("OCTET_KEY", "a key")
    with Client() as client:
        assert client.url == "http://songs.example:80"
        assert client._http.headers["Authorization"] == "Bearer a key"


def test_no_variable_is_read_that_is_not_documented():
    # given the code, when all names that look like variables of Octet are taken from it
    code = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    named = set(re.findall(r"\bOCTET_[A-Z0-9_]+\b", code))
    # then they are in the document, but for the one that only tests set
    assert named - set(documented()) == {"OCTET_FAILPOINT"}


def test_several_gpus_are_told_apart():
    assert read_settings(SeparationSettings, device="cuda:1").device == "cuda:1"
    assert default_of(SeparationSettings, "threads") == "0"
