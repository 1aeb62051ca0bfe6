"""`octet doctor`: what would be used, and why."""

import json

import octet
from tests.cli.test_models import run


def test_doctor_says_what_would_be_used_and_why():
    facts = json.loads(run("doctor", "--json", OCTET_DEVICE="cpu").stdout)
    assert facts["octet"] == octet.__version__
    assert facts["would use"].startswith("openvino on cpu")
    assert facts["because"]
    # and a device that is not there is told, not passed over
    assert (
        "nothing: " in json.loads(run("doctor", "--json", OCTET_DEVICE="mps").stdout)["would use"]
    )
