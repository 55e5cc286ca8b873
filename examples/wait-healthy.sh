#!/usr/bin/env bash
# Waits until every backend of a service is up.
#
#   examples/wait-healthy.sh SERVICE [SECONDS]
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set. SHUTTLE_TOKEN is sent where it is set;
# the role read will do. Needs curl and python3.
set -euo pipefail
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
service=${1:?service} seconds=${2:-60}

# Not as an argument, which every list of processes shows.
ask() {
    if [ -n "${SHUTTLE_TOKEN-}" ]; then
        curl -fsS -H @<(printf 'Authorization: Bearer %s\n' "$SHUTTLE_TOKEN") "$@"
    else
        curl -fsS "$@"
    fi
}

down() {
    ask "$admin/$service" |
        python3 -c 'import json, sys; print(*[b["name"] for b in json.load(sys.stdin)["backends"] if not b["up"]])'
}
deadline=$((SECONDS + seconds))
while true; do
    # A failure to ask is not the answer that nothing is down.
    names=$(down)
    [ -n "$names" ] || break
    if [ "$SECONDS" -ge "$deadline" ]; then
        echo "$service: still down after $seconds s: $names" >&2
        exit 1
    fi
    sleep 0.2
done
echo "$service: every backend is up"
