#!/bin/sh
# Gives one backend of a service more and more of the new connections, and takes it back by itself when it fails.
#
#   examples/canary.sh SERVICE BACKEND [WEIGHT...]
#   examples/canary.sh web new 1 5 25 100
#
# Goes from weight to weight (1 5 25 100 unless given) and stays STEP_SECONDS at each, looking at the backend's error counter
# once a second. When more than ERRORS_MAX percent of what it got in a step failed, or its check says that it is down, its
# weight becomes what it was at the beginning, at once. Exit code 0: it has the last weight; 1: it failed and is set back;
# 2: in one step fewer than CONNECTIONS_MIN connections came, which shows nothing, and it is set back; 3: shuttled could not be
# asked, or this was interrupted, and it is set back where that can be done; 64: usage.
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set; STEP_SECONDS 60, ERRORS_MAX 1, CONNECTIONS_MIN 10.
# SHUTTLE_TOKEN is sent where it is set; the role operate will do. Needs curl.
set -eu
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
step=${STEP_SECONDS:-60} errors_max=${ERRORS_MAX:-1} connections_min=${CONNECTIONS_MIN:-10}
usage() {
    echo "$0: $*" >&2
    echo "usage: $0 SERVICE BACKEND [WEIGHT...]" >&2
    exit 64
}
[ $# -ge 2 ] || usage 'which backend of which service?'
service=$1 backend=$2
shift 2
[ $# -gt 0 ] || set -- 1 5 25 100
for number in "$@" "$step" "$errors_max" "$connections_min"; do
    case $number in '' | *[!0-9]*) usage "'$number' is not a whole number" ;; esac
done
for weight in "$@"; do
    [ "$weight" -le 256 ] || usage "weight $weight is over 256"
done

# Not as an argument, which every list of processes shows.
call() {
    if [ -n "${SHUTTLE_TOKEN-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$SHUTTLE_TOKEN" | curl -sS --fail-with-body -K - "$@"
    else
        curl -sS --fail-with-body "$@"
    fi
}
ask() { call --max-time 10 "$@"; }
weigh() { ask -X PATCH -H 'Content-Type: application/json' -H 'Prefer: return=minimal' -d "{\"weight\":$1}" "$admin/$service/$backend"; }
# A member of the pretty-printed backend, which is asked once for all of them.
member() { printf '%s\n' "$seen" | sed -n "s/^  \"$1\": \([0-9a-z]*\),\{0,1\}\$/\1/p"; }
look() {
    seen=$(ask "$admin/$service/$backend") || exit 3
    errors=$(member errors) connections=$(member connections) up=$(member up)
    # A connect that failed is an error and no connection.
    tries=$((connections + errors))
}

look
before=$(member weight)
finished=false
back() {
    code=$?
    trap - EXIT
    $finished && exit 0
    [ "$code" -ne 0 ] || code=3
    if weigh "$before"; then
        echo "$service/$backend is set back to weight $before" >&2
    else
        echo "$service/$backend COULD NOT be set back: its weight must be made $before" >&2
        code=3
    fi
    exit "$code"
}
trap back EXIT
trap 'exit 3' HUP INT TERM

for weight in "$@"; do
    weigh "$weight" || exit 3
    look
    errors_before=$errors tries_before=$tries
    echo "$service/$backend: weight $weight"
    passed=0
    while [ "$passed" -lt "$step" ]; do
        sleep 1
        passed=$((passed + 1))
        look
        failed=$((errors - errors_before)) tried=$((tries - tries_before))
        if [ "$up" != true ]; then
            echo "$service/$backend is down at weight $weight, after $failed errors in $tried tries" >&2
            exit 1
        fi
        # Of few tries one failure would be too large a part.
        if [ "$tried" -ge "$connections_min" ] && [ $((failed * 100)) -gt $((errors_max * tried)) ]; then
            echo "$service/$backend: $failed errors in $tried tries at weight $weight, over $errors_max %" >&2
            exit 1
        fi
    done
    if [ "$tried" -lt "$connections_min" ]; then
        echo "$service/$backend: $tried tries in $step s at weight $weight, fewer than $connections_min: nothing is shown" >&2
        exit 2
    fi
done
finished=true
echo "$service/$backend keeps weight $weight"
