#!/usr/bin/env bash
# The lab's API with curl alone: examples/curl-apiv1.sh song.mp3
set -euo pipefail

song=${1:?which song?}
url=${OCTET_URL:-http://127.0.0.1:5000}
call() { curl --fail-with-body --silent --show-error ${OCTET_KEY:+-H "X-API-Key: $OCTET_KEY"} "$@"; }

# Submit: base64 in JSON, through a pipe, for it is too long for a command line.
answer=$({ printf '{"mp3": "'; base64 <"$song" | tr -d '\n'; printf '"}'; } |
  call -H 'Content-Type: application/json' --data-binary @- "$url/apiv1/separate")
echo "$answer"
hash=$(sed -E 's/.*"hash": ?"([^"]+)".*/\1/' <<<"$answer")

call "$url/apiv1/queue"
echo

# Wait for the tracks; what has no track yet answers 404.
until call --head -o /dev/null "$url/apiv1/track/$hash/vocals.mp3" 2>/dev/null; do sleep 1; done
for track in vocals drums base other original full instrumental acapella; do
  call -o "$hash-$track.mp3" "$url/apiv1/track/$hash/$track.mp3"
done
ls -l "$hash"-*.mp3
