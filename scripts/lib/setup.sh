# shellcheck shell=bash
# What must be on the machine before something can be built or tested. Sourced by the scripts that need it.
#
# Owns: which program or header stands for which Debian package, and asking for those that are missing. It looks for
# the thing itself, not for the package, so a machine that has it from elsewhere is left as it is. The part that runs as
# root is scripts/lib/install-packages.

# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

swift_version_min=6.2
# The oldest liburing that is built and tested with: Debian 12's.
liburing_version_min=2.3

run_packages=(git liburing-dev systemtap-sdt-dev)
test_packages=(curl openssl python3 python3-pytest python3-pytest-xdist python3-jsonschema python3-venv nginx-light libnginx-mod-stream haproxy redis-server dnsmasq-base dnsdist prometheus
    strace bpftrace iproute2 shellcheck binutils valgrind chromium chromium-driver
    fonts-dejavu-core python3-selenium python3-seccomp systemd)
# Of scripts/machine and scripts/package.
machine_packages=(qemu-system-x86 debootstrap e2fsprogs)
package_packages=(debhelper dpkg-dev fakeroot lintian man-db debootstrap)
perf_packages=(haproxy nginx-light libnginx-mod-stream iproute2 iperf3 wrk python3 python3-matplotlib)

# setup [--dry-run] GROUP...: checks Swift and installs what the groups lack, or only says that it would.
setup() {
    local wanted=() missing=() group package dry_run=false
    if [ "${1-}" = --dry-run ]; then
        dry_run=true
        shift
    fi
    for group in "$@"; do
        case "$group" in
            run) wanted+=("${run_packages[@]}") ;;
            test) wanted+=("${run_packages[@]}" "${test_packages[@]}") ;;
            perf) wanted+=("${perf_packages[@]}") ;;
            machine) wanted+=("${machine_packages[@]}") ;;
            package) wanted+=("${run_packages[@]}" "${package_packages[@]}") ;;
            *) fail "unknown group '$group': use run, test, perf, machine or package" ;;
        esac
    done
    setup_check_swift
    for package in "${wanted[@]}"; do
        setup_has "$package" || [[ " ${missing[*]} " == *" $package "* ]] || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ] && $dry_run; then
        say "setup: would install: ${missing[*]}"
        return 0
    elif [ ${#missing[@]} -gt 0 ]; then
        setup_install "${missing[@]}"
    elif $dry_run; then
        say "setup: nothing is missing for: $*"
        return 0
    fi
    setup_check_liburing
    [[ " $* " != *' test '* ]] || setup_checkers
}

# What checks the description of the admin API and the dashboard comes from PyPI, into an environment of its own: nothing
# else sees it.
setup_checkers() {
    local list="$repository/scripts/lib/checkers.txt" alone="$repository/scripts/lib/browser-checkers.txt"
    local place="$repository/.build/checkers" python
    ! cat "$list" "$alone" | cmp -s - "$place/installed.txt" || return 0
    python=$(find_python_with ensurepip) || fail 'no python3 here can make environments: install python3-venv'
    say 'setup: installing from PyPI into .build/checkers:' "$(grep -hv '^#' "$list" "$alone" | tr '\n' ' ')"
    rm -rf "$place"
    if ! { "$python" -m venv "$place" && "$place/bin/pip" install --quiet --disable-pip-version-check -r "$list" &&
        "$place/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$alone"; }; then
        fail 'could not install what checks the API and the dashboard. The lines above say why'
    fi
    cat "$list" "$alone" >"$place/installed.txt"
}

setup_check_swift() {
    local install='install it from https://www.swift.org/install/linux'
    command -v swift >/dev/null 2>&1 ||
        fail "swift is not on PATH; shuttle needs Swift $swift_version_min or newer: $install"
    local output version
    output=$(swift --version 2>&1) || fail "'swift --version' fails: $output"
    version=$(sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' <<<"$output" | head -n 1)
    [ -n "$version" ] || fail "cannot read the version in what 'swift --version' prints: $output"
    is_version_at_least "$version" "$swift_version_min" ||
        fail "Swift $version is too old; shuttle needs $swift_version_min or newer: $install"
}

is_version_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Whether what the package is wanted for is there, from whatever source.
setup_has() {
    local module
    case "$1" in
        liburing-dev) [ -e /usr/include/liburing.h ] || [ -e /usr/local/include/liburing.h ] ;;
        systemtap-sdt-dev) compgen -G '/usr/include/*/sys/sdt.h' >/dev/null || [ -e /usr/include/sys/sdt.h ] ;;
        # Debian's goes with Debian's pytest, and one python must have both.
        python3-pytest | python3-pytest-xdist | python3-jsonschema | python3-selenium)
            find_python_with 'pytest, xdist, jsonschema, selenium' >/dev/null ;;
        python3-venv) find_python_with ensurepip >/dev/null ;;
        python3-matplotlib) find_python_with matplotlib >/dev/null ;;
        # Of Debian's python alone.
        python3-seccomp) /usr/bin/python3 -c 'import seccomp' >/dev/null 2>&1 ;;
        # To look at units; it need not run.
        systemd) has_program systemd-analyze ;;
        nginx-light) has_program nginx ;;
        libnginx-mod-stream)
            for module in /usr/lib/nginx/modules /usr/lib64/nginx/modules /usr/share/nginx/modules; do
                [ ! -e "$module/ngx_stream_module.so" ] || return 0
            done
            # Not a module but compiled in, as in nginx.org's packages.
            PATH=$PATH:/usr/sbin nginx -V 2>&1 | grep -E -- "--with-stream( |$)" >/dev/null ;;
        redis-server) has_program redis-server ;;
        dnsmasq-base) has_program dnsmasq || [ -x /usr/sbin/dnsmasq ] ;;
        binutils) has_program objdump ;;
        qemu-system-x86) has_program qemu-system-x86_64 ;;
        e2fsprogs) has_program mke2fs || [ -x /sbin/mke2fs ] ;;
        debhelper) has_program dh ;;
        dpkg-dev) has_program dpkg-shlibdeps ;;
        debootstrap) has_program debootstrap || [ -x /usr/sbin/debootstrap ] ;;
        man-db) has_program man ;;
        chromium-driver) has_program chromedriver ;;
        # Without any font pages have no width.
        fonts-dejavu-core) [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] ;;
        # Ubuntu's and others' go by other names.
        chromium) has_program chromium || has_program chromium-browser || has_program google-chrome ;;
        iproute2) has_program ss && has_program ip ;;
        *) has_program "$1" ;;
    esac
}

setup_check_liburing() {
    local file version
    for file in {/usr/local/lib,/usr/lib/*,/usr/lib,/usr/lib64}/pkgconfig/liburing.pc; do
        [ -e "$file" ] || continue
        version=$(sed -n 's/^Version: *//p' "$file")
        is_version_at_least "$version" "$liburing_version_min" ||
            fail "liburing $version is too old ($file); $liburing_version_min or newer is needed, as in Debian 12," \
                'Ubuntu 24.04 and what came after them'
        return 0
    done
}

setup_install() {
    local known=''
    if [ -r /etc/os-release ]; then
        known=$(sed -n -e 's/^ID=//p' -e 's/^ID_LIKE=//p' /etc/os-release | tr -d '"' | tr '\n' ' ')
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        fail "missing on this machine: $*. These are names of Debian and Ubuntu packages and there is no apt-get here:" \
            "install their like (liburing $liburing_version_min or newer) by this system's means, then try again"
    fi
    if [[ " $known " != *" debian "* && " $known " != *" ubuntu "* ]]; then
        say "setup: this is neither Debian nor Ubuntu ('$known'); trying its apt-get with Debian's package names"
    fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            fail "missing: $*. Installing needs root and there is no sudo. As root, run:" \
                "apt-get install --no-install-recommends $*"
        root=(sudo)
    fi
    local names=("$@")
    if [[ " $known " == *" ubuntu "* ]]; then
        names=("${names[@]/#chromium-driver/chromium-chromedriver}")
        names=("${names[@]/%chromium/chromium-browser}")
    fi
    say "setup: installing with ${root[*]:+sudo }apt-get: ${names[*]}"
    "${root[@]}" "$repository/scripts/lib/install-packages" "${names[@]}" ||
        fail "could not install: $*. The lines above say why"
    local package
    for package in "$@"; do
        setup_has "$package" || fail "$package was installed but what it is needed for is still not found"
    done
}
