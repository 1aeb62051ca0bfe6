"""Octet: music separation. One song in, eight aligned files out.

    import octet

    octet.separate("song.mp3", "stems/")           # one song
    separator = octet.Separator(format="flac")     # many, with the model kept loaded
    separator.separate("a.mp3", "stems/a")
    octet.Client().submit("song.mp3")              # the same through a service

What is heavy is loaded when it is first used: `import octet` takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.errors import (
    AudioError,
    CancelledError,
    DamagedAudioError,
    DeviceError,
    LimitError,
    ModelError,
    NotAudioError,
    OctetError,
    OutputError,
    ServiceError,
    SettingError,
)
from octet.tracks import STEMS, TRACKS

if TYPE_CHECKING:
    from octet.client import Client
    from octet.results.manifest import Manifest
    from octet.separation.separator import Separator, separate

__version__ = "0.1.0"

__all__ = [
    "STEMS",
    "TRACKS",
    "AudioError",
    "CancelledError",
    "Client",
    "DamagedAudioError",
    "DeviceError",
    "LimitError",
    "Manifest",
    "ModelError",
    "NotAudioError",
    "OctetError",
    "OutputError",
    "Separator",
    "ServiceError",
    "SettingError",
    "separate",
]

_HOMES = {
    "Client": "octet.client",
    "Manifest": "octet.results.manifest",
    "Separator": "octet.separation.separator",
    "separate": "octet.separation.separator",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'octet' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
