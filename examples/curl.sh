#!/usr/bin/env bash
# The API with curl alone: examples/curl.sh song.mp3
# OCTET_URL says which service, OCTET_KEY holds its key if it asks for one.
set -euo pipefail

song=${1:?which song?}
url=${OCTET_URL:-http://127.0.0.1:5000}
call() { curl --fail-with-body --silent --show-error ${OCTET_KEY:+-H "X-API-Key: $OCTET_KEY"} "$@"; }

# Submit. The answer is the job; its id comes first.
job=$(call -F "file=@$song" "$url/v1/jobs")
id=$(sed -E 's/^\{"id":"([^"]+)".*/\1/' <<<"$job")
echo "job $id"

# Follow it to its end: one event a change. The last one tells how it ended.
last=$(call --no-buffer "$url/v1/jobs/$id/events" | grep --line-buffered '^data:' | tee /dev/stderr | tail -n 1)
grep -q '"state":"done"' <<<"$last"

# The manifest, one track, a part of it, everything.
call "$url/v1/songs/$id"
echo
call -o "$id-vocals.mp3" "$url/v1/songs/$id/tracks/vocals"
call -r 0-999 -o /dev/null -w '%{http_code}, %{size_download} bytes of %{content_type}\n' \
  "$url/v1/songs/$id/tracks/vocals"
call -o "$id.zip" "$url/v1/songs/$id/archive"
ls -l "$id-vocals.mp3" "$id.zip"
