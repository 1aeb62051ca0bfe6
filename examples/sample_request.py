"""A sample request, the long way: the lab's API, step by step.

    python examples/sample_request.py song.mp3 [http://localhost:5000]

Sends the song as base64 in JSON, shows the queue, waits, and fetches the eight tracks into the
current folder. OCTET_KEY holds the API key, where the service asks for one.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from pathlib import Path

import httpx

TRACKS = ("vocals", "drums", "bass", "other", "original", "full", "instrumental", "acapella")
WAITS_FOR = 3600.0


def main(song: Path, address: str) -> None:
    """Submits the song, waits, and fetches the tracks."""
    key = os.environ.get("OCTET_KEY")
    headers = {"X-API-Key": key} if key else {}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as http:
        name = separate(http, song)
        print("Waiting:", show(http.get("/apiv1/queue"))["queue"])
        wait_for(http, name)
        for track in TRACKS:
            fetch(http, name, track)


def separate(http: httpx.Client, song: Path) -> str:
    """Submits the song; the answer names it."""
    print(f"Separating {song}")
    request = {
        "mp3": base64.b64encode(song.read_bytes()).decode(),
        "callback": {
            "url": "http://localhost:5000",
            "data": {"mp3": song.name, "data": "to be returned"},
        },
    }
    return str(show(http.post("/apiv1/separate", json=request))["hash"])


def wait_for(http: httpx.Client, name: str) -> None:
    """Waits until a track is there; GET /v1/jobs/NAME/events would tell more, and at once."""
    until = time.monotonic() + WAITS_FOR
    while http.head(f"/apiv1/track/{name}/vocals.mp3").status_code != 200:
        if time.monotonic() > until:
            sys.exit("The song was not separated in time")
        time.sleep(1)


def fetch(http: httpx.Client, name: str, track: str) -> None:
    """Fetches one track to a file, piece by piece."""
    target = Path(f"{name[:12]}-{track}.mp3")
    with http.stream("GET", f"/apiv1/track/{name}/{track}.mp3") as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            for piece in answer.iter_bytes():
                file.write(piece)
    print(f"Fetched {target}")


def show(answer: httpx.Response) -> dict[str, object]:
    """The JSON of an answer, printed; ends the program if it is an error."""
    body: dict[str, object] = answer.json()
    print(f"{answer.status_code}: {body}")
    if answer.status_code != 200:
        sys.exit(1)
    return body


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "http://localhost:5000")
