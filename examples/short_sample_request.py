"""A sample request, the short way. Give it the song's file."""

import base64
import sys
from pathlib import Path

import httpx

song = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
answer = httpx.post("http://localhost:5000/apiv1/separate", json={"mp3": song}, timeout=60)
print(answer.status_code, answer.json())
print(httpx.get("http://localhost:5000/apiv1/queue").json())
