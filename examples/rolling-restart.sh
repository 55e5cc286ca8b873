#!/bin/sh
# Restarts the backends of a service one after the other without a failed request: takes one out of rotation, waits until its
# last session has ended, runs COMMAND with its name and address, waits until its check is good, and puts it back.
#
#   examples/rolling-restart.sh SERVICE COMMAND [ARGUMENT...]
#   examples/rolling-restart.sh web sh -c 'ssh "${2%:*}" systemctl restart app' restart
#
# COMMAND gets the backend's name and address as its last arguments and returns when the backend takes connections again.
# Where it fails, or a wait does, the roll stops: that backend stays in state drain, the others are as they were. Exit code 0:
# all are restarted; 1: stopped; 64: usage. Backends that are not ready now are left alone.
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set; DRAIN_TIMEOUT (5m) and HEALTHY_TIMEOUT (60s) say
# how long to wait. SHUTTLE_TOKEN is sent where it is set; the role operate will do. Needs curl.
set -eu
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
if [ $# -lt 2 ]; then
    echo "usage: $0 SERVICE COMMAND [ARGUMENT...]" >&2
    exit 64
fi
service=$1
shift

say() { echo "$service: $*"; }
stop() {
    echo "$service: stopped: $*" >&2
    exit 1
}
# Not as an argument, which every list of processes shows.
call() {
    if [ -n "${SHUTTLE_TOKEN-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$SHUTTLE_TOKEN" | curl -sS --fail-with-body -K - "$@"
    else
        curl -sS --fail-with-body "$@"
    fi
}
# What is answered; a refusal says what is wrong, and is shown.
ask() {
    answer=$(call "$@") || {
        printf '%s\n' "$answer" >&2
        return 1
    }
    printf '%s\n' "$answer"
}
state() { ask -X PATCH -H 'Content-Type: application/json' -H 'Prefer: return=minimal' -d "{\"state\":\"$2\"}" "$admin/$service/$1"; }
await() { ask "$admin/v1/services/$service/wait?$1" >/dev/null; }
# A member of a pretty-printed object.
member() { sed -n "s/^  \"$1\": \"\(.*\)\",\{0,1\}\$/\1/p"; }

service_json=$(ask "$admin/v1/services/$service") || stop 'its configuration cannot be read'
ready='' count=0
# In the order of the configuration; the names of backends are the only ones so deep.
for name in $(printf '%s\n' "$service_json" | sed -n 's/^      "name": "\(.*\)",$/\1/p'); do
    backend=$(ask "$admin/v1/services/$service/backends/$name") || stop "$name cannot be read"
    case $(printf '%s\n' "$backend" | member state) in
        '' | ready) ready="$ready $name" count=$((count + 1)) ;;
        *) say "$name is not in state ready, and is left alone" ;;
    esac
done
[ "$count" -ge 2 ] || stop "it has $count backends in state ready: while one restarts nobody would serve"

number=0
for name in $ready; do
    number=$((number + 1))
    # Never two out at a time.
    await "until=healthy&timeout=${HEALTHY_TIMEOUT:-60s}" || stop "before $name: not every backend is healthy"
    address=$(ask "$admin/v1/services/$service/backends/$name" | member address)
    state "$name" drain || stop "$name cannot be drained"
    await "until=drained&backend=$name&timeout=${DRAIN_TIMEOUT:-5m}" ||
        stop "$name still has sessions; it is in state drain, and was not restarted"
    if ! "$@" "$name" "$address"; then
        stop "the command failed for $name ($address): it is in state drain, $((count - number)) are left as they were." \
            "When it is well: curl -X PATCH -d '{\"state\":\"ready\"}' $admin/$service/$name"
    fi
    # Still drained: whoever is not well gets nobody.
    await "until=healthy&backend=$name&timeout=${HEALTHY_TIMEOUT:-60s}" ||
        stop "$name is not healthy after its restart; it is in state drain, $((count - number)) are left as they were"
    state "$name" ready || stop "$name cannot be made ready"
    say "$name is restarted ($number of $count)"
done
