#!/usr/bin/env bash
# Takes a backend out of rotation and waits until its last session has ended.
#
#   examples/drain-backend.sh SERVICE BACKEND [SECONDS]
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set. Needs curl and python3.
set -euo pipefail
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
service=${1:?service} backend=${2:?backend} seconds=${3:-60}

# What was read can be changed and written back: statistics fields are ignored on input.
curl -fsS "$admin/$service/$backend" |
    python3 -c 'import json, sys; backend = json.load(sys.stdin); backend["weight"] = 0; json.dump(backend, sys.stdout)' |
    curl -fsS -T - -H 'Prefer: return=minimal' "$admin/$service/$backend"

active() {
    curl -fsS "$admin/$service/$backend" | python3 -c 'import json, sys; print(json.load(sys.stdin)["active"])'
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
