"""`octet key`: what it prints fits the service's settings."""

import hashlib
import os
import subprocess
import sys

from octet.settings import ServiceSettings, read_settings


def test_a_key_and_its_hash_fit_each_other_and_the_settings():
    # given two keys, made one after the other
    printed = [
        subprocess.run(
            [sys.executable, "-m", "octet", "key"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for _ in range(2)
    ]
    for text in printed:
        made = dict(line.split("=", 1) for line in text.splitlines())
        # then the service's settings take the hash, which is the key's
        settings = read_settings(ServiceSettings, api_keys=made["OCTET_API_KEYS"])
        assert settings.api_keys == (hashlib.sha256(made["OCTET_KEY"].encode()).hexdigest(),)
        assert len(made["OCTET_KEY"]) >= 43  # 256 bits
    # and no two are alike
    assert printed[0] != printed[1]
