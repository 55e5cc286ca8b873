# shellcheck shell=bash
# What the scripts here share: where the repository is, how they speak, how they fail. Sourced, never run.

# shellcheck disable=SC2034  # Used by the scripts that source this.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
script_name=scripts/$(basename "$0")

# To standard error: standard output belongs to what a script runs.
say() {
    printf '%s\n' "$*" >&2
}

fail() {
    printf '%s: %s\n' "$script_name" "$*" >&2
    exit 1
}

fail_usage() {
    printf '%s: %s (try --help)\n' "$script_name" "$*" >&2
    exit 64
}

# Debian keeps daemons and administration tools in folders that are not on a plain user's PATH.
has_program() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

# The first python3 that can import a module: a version manager's on PATH may lack what Debian's has, and the reverse.
find_python_with() {
    local candidate
    for candidate in python3 /usr/bin/python3 /usr/local/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "import $1" >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

release_folder() {
    swift build --package-path "$repository" -c release --show-bin-path
}

# Builds shuttled as it is shipped, with the link by which users of the original call it.
build_release() {
    local folder
    say 'building: swift build -c release --product shuttled'
    swift build --package-path "$repository" -c release --product shuttled || return
    folder=$(release_folder) || return
    ln -sfn shuttled "$folder/shuttle"
}
