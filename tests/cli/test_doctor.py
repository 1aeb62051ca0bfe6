"""`octet doctor`: what would be used, and why."""

import asyncio
import json
from importlib.metadata import PackageNotFoundError

import octet
from octet.cli import doctor
from octet.jobs.claims import Claims
from octet.jobs.server import connect
from tests.cli.test_models import run
from tests.test_settings import CLIENT, SAMPLES


def test_doctor_says_what_would_be_used_and_why():
    facts = json.loads(run("doctor", "--json", OCTET_DEVICE="cpu").stdout)
    assert facts["octet"] == octet.__version__
    assert facts["would use"].startswith("openvino on cpu")
    assert facts["because"]
    # and a device that is not there is told, not passed over
    assert (
        "nothing: " in json.loads(run("doctor", "--json", OCTET_DEVICE="mps").stdout)["would use"]
    )


def test_doctor_looks_at_the_queue_server_that_is_configured(redis_url):
    # given a server that writes nothing to disk, as those of the tests are, then that is said
    facts = json.loads(run("doctor", "--json", OCTET_REDIS_URL=redis_url).stdout)
    assert facts["queue"].startswith("appendonly is no: ")
    # and so is that nobody works there
    assert facts["workers"].startswith("no worker is alive")
    # and where none is configured, nothing is
    assert "queue" not in json.loads(run("doctor", "--json").stdout)


def test_doctor_names_workers_that_are_sick_or_have_another_default(redis_url):
    # given a worker of another format, which is not fit for work
    async def announce():
        async with connect(redis_url) as client:
            recipe = {"model": "pocket", "format": "flac", "shifts": 0}
            about = {"recipe": recipe, "sick": "the disk is full"}
            await Claims(client, "far", lease=60).heartbeat(about)

    asyncio.run(announce())
    # when the doctor looks, then both are said
    facts = json.loads(run("doctor", "--json", OCTET_REDIS_URL=redis_url).stdout)
    assert "worker far is not fit for work: the disk is full" in facts["workers"]
    assert "worker far has another default than the API (format flac, here mp3" in facts["workers"]


def test_doctor_says_that_the_queue_server_is_away():
    facts = json.loads(run("doctor", "--json", OCTET_REDIS_URL="redis://127.0.0.1:1/0").stdout)
    assert facts["queue"].startswith("does not answer")


def test_what_is_to_be_installed_is_printed_whole(monkeypatch, capsys):
    # given a machine without PyTorch
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", version)
    # when the doctor's table is printed, then brackets in it are no markup
    doctor.doctor()
    assert "octet-stems[demucs]" in capsys.readouterr().out


def test_a_variable_that_is_no_setting_is_named_with_the_nearest():
    # given variables of Octet, of Kubernetes beside a Service "octet", of others, and two mistakes
    right = [*SAMPLES, *CLIENT, "octet_model", "PATH", "_OCTET_COMPLETE"]
    kubernetes = ["OCTET_SERVICE_HOST", "OCTET_PORT_5000_TCP", "OCTET_SERVICE_PORT_HTTP"]
    wrong = ["OCTET_MODLE", "OCTET_ANYTHING_ELSE"]
    # then these are named, and what may be meant
    assert doctor.unknown_variables([*right, *kubernetes, *wrong]) == [
        ("OCTET_ANYTHING_ELSE", None),
        ("OCTET_MODLE", "OCTET_MODEL"),
    ]


def test_doctor_looks_at_the_store_the_keys_and_the_secret_of_a_service(tmp_path):
    # given a service on folders, with a key
    service = {"OCTET_STORAGE": f"file://{tmp_path}", "OCTET_API_KEYS": "0" * 64}
    facts = json.loads(run("doctor", "--json", **service).stdout)
    assert facts["store"].startswith(f"file://{tmp_path}: answers, ")
    assert facts["store"].endswith("GiB free")
    assert facts["keys"] == "1 API key"
    assert facts["webhook secret"].startswith("made by the service")
    # and one whose store is away, without keys, and with a secret that is none
    away = {"MINIO_ENDPOINT": "127.0.0.1:1", "OCTET_WEBHOOK_SECRET": "hush", "OCTET_OPEN": "true"}
    sick = json.loads(run("doctor", "--json", **away).stdout)
    assert sick["store"].startswith("s3: ")
    assert "answers" not in sick["store"]
    assert sick["keys"].startswith("none: the API serves everybody")
    assert "OCTET_WEBHOOK_SECRET" in sick["webhook secret"]
    assert "hush" not in str(sick)
    # and where there is no service, nothing is said of one
    alone = json.loads(run("doctor", "--json").stdout)
    assert not {"store", "keys", "webhook secret"} & {*alone}
    assert "GiB free" in alone["scratch"]
