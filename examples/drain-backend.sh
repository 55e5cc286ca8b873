#!/usr/bin/env bash
# Takes a backend out of rotation and waits until its last session has ended.
#
#   examples/drain-backend.sh SERVICE BACKEND [SECONDS]
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set. SHUTTLE_TOKEN is sent where it is set;
# the role operate will do. Needs curl and python3.
set -euo pipefail
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
service=${1:?service} backend=${2:?backend} seconds=${3:-60}

# Not as an argument, which every list of processes shows.
ask() {
    if [ -n "${SHUTTLE_TOKEN-}" ]; then
        curl -fsS -H @<(printf 'Authorization: Bearer %s\n' "$SHUTTLE_TOKEN") "$@"
    else
        curl -fsS "$@"
    fi
}

# What was read can be changed and written back: statistics fields are ignored on input.
ask "$admin/$service/$backend" |
    python3 -c 'import json, sys; backend = json.load(sys.stdin); backend["weight"] = 0; json.dump(backend, sys.stdout)' |
    ask -T - -H 'Prefer: return=minimal' "$admin/$service/$backend"

active() {
    ask "$admin/$service/$backend" | python3 -c 'import json, sys; print(json.load(sys.stdin)["active"])'
}
deadline=$((SECONDS + seconds))
until [ "$(active)" -eq 0 ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
        echo "$service/$backend still has $(active) sessions after $seconds s" >&2
        exit 1
    fi
    sleep 0.2
done
echo "$service/$backend is drained"
