"""The Python client: a song to a service, its progress, its tracks.

    python examples/client.py song.mp3 stems/

OCTET_URL and OCTET_KEY say which service, and with which key.
"""

from __future__ import annotations

import sys
from typing import Any

import octet


def main(song: str, folder: str) -> None:
    """Submits the song, waits, and fetches the tracks."""
    with octet.Client() as client:
        job = client.submit(song)
        print(f"job {job['id']}")
        client.wait(job["id"], on_progress=show)
        manifest = client.download_all(job["id"], folder)
        for name, track in manifest["tracks"].items():
            print(f"{folder}/{track['key']}: {track['bytes']} bytes of {name}")


def show(job: dict[str, Any]) -> None:
    """Says how far the job is."""
    print(f"{job['state']}, {job['percent']:.0f} %")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (octet.OctetError, OSError) as error:
        sys.exit(str(error))
