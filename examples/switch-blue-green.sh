#!/usr/bin/env bash
# Moves a service from its present backends to others in one change: no connection sees a mix, none is lost, and the
# sessions of the old backends run on until they close.
#
#   examples/switch-blue-green.sh SERVICE ADDRESS...
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set. Needs curl and python3.
set -euo pipefail
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
service=${1:?service}
shift
[ $# -gt 0 ] || { echo 'say at least one backend address' >&2; exit 64; }

curl -fsS "$admin/$service" |
    python3 -c '
import json, sys
service = json.load(sys.stdin)
service["backends"] = [
    {"name": f"b{number}", "address": address, "check_address": address} for number, address in enumerate(sys.argv[1:])
]
json.dump(service, sys.stdout)' "$@" |
    curl -fsS -T - -H 'Prefer: return=minimal' "$admin/$service"
echo "$service now goes to $*"
