#!/bin/sh
# Moves a service from its present backends to others in one change: no connection sees a mix, none is lost, and the
# sessions of the old backends run on until they close.
#
#   examples/switch-blue-green.sh SERVICE ADDRESS...
#
# The others stand beside the present ones first, without getting anybody (weight 0), until their checks are good. Where one of
# them is not healthy in time they are taken out again, and nobody has noticed. Backends are named after their addresses,
# and are checked there. Exit code 0: switched; 1: not, and everything is as it was; 64: usage.
#
# SHUTTLE_ADMIN is the admin endpoint, http://127.0.0.1:9090 unless set; HEALTHY_TIMEOUT (60s) says how long to wait.
# SHUTTLE_TOKEN is sent where it is set; it takes the role write. Needs curl.
set -eu
admin=${SHUTTLE_ADMIN:-http://127.0.0.1:9090}
if [ $# -lt 2 ]; then
    echo "usage: $0 SERVICE ADDRESS..." >&2
    exit 64
fi
service=$1
shift
for address in "$@"; do
    case $address in '' | *[!A-Za-z0-9_.:/@[-]* | *]*[!]:0-9]*)
        echo "$0: '$address' is no address of a backend, such as 10.0.0.2:80" >&2
        exit 64
        ;;
    esac
done

# Not as an argument, which every list of processes shows.
call() {
    if [ -n "${SHUTTLE_TOKEN-}" ]; then
        printf 'header = "Authorization: Bearer %s"\n' "$SHUTTLE_TOKEN" | curl -sS --fail-with-body -K - "$@"
    else
        curl -sS --fail-with-body "$@"
    fi
}
# A refusal says what is wrong, and is shown.
ask() { answer=$(call "$@") || { printf '%s\n' "$answer" >&2 && return 1; }; }
patch() { ask -X PATCH -H 'Content-Type: application/json' -H 'Prefer: return=minimal' -d "$1" "$admin/$service"; }
name() { printf '%s' "$1" | tr '/@' '__' | tr -d '[]'; }
entry() { printf '"address":"%s","check_address":"%s"' "$1" "$1"; }

added='' removed='' list=''
for address in "$@"; do
    name=$(name "$address")
    list="$list${list:+,}{\"name\":\"$name\",$(entry "$address")}"
    # Who is there already serves on.
    if [ "$(call -o /dev/null -w '%{http_code}' "$admin/v1/services/$service/backends/$name")" != 200 ]; then
        added="$added${added:+,}\"$name\":{$(entry "$address"),\"weight\":0}"
        removed="$removed${removed:+,}\"$name\":null"
    fi
done
[ -z "$added" ] || patch "{\"backends\":{$added}}" || exit 1
for address in "$@"; do
    if ! ask "$admin/v1/services/$service/wait?until=healthy&backend=$(name "$address")&timeout=${HEALTHY_TIMEOUT:-60s}"; then
        [ -z "$removed" ] || patch "{\"backends\":{$removed}}" || echo "$service: could not take the new backends out again" >&2
        echo "$service: $address is not healthy, so nothing is switched" >&2
        exit 1
    fi
done
patch "{\"backends\":[$list]}" || exit 1
echo "$service now goes to $*"
