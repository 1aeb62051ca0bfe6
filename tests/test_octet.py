"""What `import octet` promises."""

import subprocess
import sys

import octet


def test_the_public_names_are_pinned():
    # given the names that others may rely on, then they are these, each once, and all are there
    assert set(octet.__all__) == {
        *("STEMS", "TRACKS", "separate", "Separator", "Client", "Manifest"),
        *("OctetError", "AudioError", "NotAudioError", "DamagedAudioError", "LimitError"),
        *("ModelError", "DeviceError", "OutputError", "SettingError", "CancelledError"),
        "ServiceError",
    }
    assert len(octet.__all__) == len(set(octet.__all__))
    for name in octet.__all__:
        assert getattr(octet, name) is not None


def test_importing_octet_loads_nothing_heavy():
    code = (
        "import sys, octet, octet.cli; "
        "print({'numpy', 'torch', 'openvino', 'av', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
