"""What scripts/package makes: the Debian package from its installation to its purge, and the tarball."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from conftest import REPOSITORY, Debian

#: A backend and a client, without anything but Debian's minimal python. Prints what comes back through shuttled.
TRAFFIC = r"""
cat >/tmp/traffic.py <<'PROGRAM'
import json, socket, subprocess, sys, threading, time, urllib.request
backend = socket.create_server(("127.0.0.1", 7001))
def serve():
    while True:
        connection, _ = backend.accept()
        connection.sendall(b"from the backend")
        connection.close()
threading.Thread(target=serve, daemon=True).start()
process = subprocess.Popen(sys.argv[1:])
for _ in range(300):
    try:
        if urllib.request.urlopen("http://127.0.0.1:9090/readyz").status == 200: break
    except OSError: time.sleep(0.1)
body = json.dumps({"name": "web", "address": "127.0.0.1:80", "backends": [{"name": "b", "address": "127.0.0.1:7001"}]}).encode()
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:9090/web", body, {"Content-Type": "application/json"}, method="PUT"))
print(socket.create_connection(("127.0.0.1", 80)).makefile().read(), flush=True)
process.terminate()
sys.exit(process.wait())
PROGRAM
python3 /tmp/traffic.py """


def install(debian: Debian, package: Path) -> subprocess.CompletedProcess[str]:
    return debian.run(f"dpkg --install --force-confold {debian.put(package)}")


def files_of(debian: Debian) -> list[str]:
    return [line for line in debian.run("dpkg -L shuttled").stdout.splitlines() if not debian.path(line).is_dir()]


def test_lintian_has_nothing_to_say(old: Path) -> None:
    done = subprocess.run(
        ["lintian", "--fail-on", "error,warning", "--allow-root", str(old)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stdout.strip(), done


def test_what_is_installed(debian: Debian, old: Path) -> None:
    install(debian, old)
    found = set(files_of(debian))
    for name in (
        "/usr/bin/shuttled", "/lib/systemd/system/shuttled.service", "/etc/default/shuttled", "/etc/shuttle/shuttle.json",
        "/usr/share/man/man8/shuttled.8.gz", "/usr/share/man/man1/shuttled-ctl.1.gz",
        "/usr/share/bash-completion/completions/shuttled", "/usr/share/zsh/vendor-completions/_shuttled",
        "/usr/share/fish/vendor_completions.d/shuttled.fish", "/usr/share/doc/shuttled/copyright", "/usr/share/doc/shuttled/NOTICE.gz",
        "/usr/share/shuttle/prometheus/shuttle.rules.yml", "/usr/share/shuttle/grafana/shuttle.json",
    ):  # fmt: skip
        assert name in found, name
    conffiles = debian.run("dpkg-query -W -f='${Conffiles}' shuttled").stdout
    assert {line.split()[0] for line in conffiles.splitlines() if line.strip()} == {"/etc/default/shuttled", "/etc/shuttle/shuttle.json"}
    # Nothing but root may change what root runs; the state is the user's alone.
    for name in found:
        status = debian.path(name).lstat()
        assert status.st_uid == 0 and not status.st_mode & 0o022 or stat.S_ISLNK(status.st_mode), name
    user = debian.run("id shuttle").stdout
    number = int(re.search(r"uid=(\d+)", user)[1])  # type: ignore[index]
    assert re.search(r"gid=\d+\(shuttle\) groups=\d+\(shuttle\)$", user.strip()), user
    assert 0 < number < 1000, "a system user"
    assert debian.run("getent passwd shuttle").stdout.strip().endswith(":/var/lib/shuttle:/usr/sbin/nologin")
    state = debian.path("/var/lib/shuttle").stat()
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (number, 0o750)
    unit = debian.path("/lib/systemd/system/shuttled.service").read_text()
    assert unit == (REPOSITORY / "packaging/systemd/shuttled.service").read_text()
    assert debian.path("/etc/systemd/system/multi-user.target.wants/shuttled.service").is_symlink(), "enabled"


def test_it_needs_nothing_of_swift(debian: Debian, old: Path) -> None:
    install(debian, old)
    libraries = debian.run("ldd /usr/bin/shuttled").stdout
    assert "not found" not in libraries and "swift" not in libraries.lower() and "Foundation" not in libraries, libraries
    assert debian.run("shuttled -version").stdout.startswith("shuttled 0.1.0")


def test_it_runs(debian: Debian, old: Path) -> None:
    """As root, which becomes the package's user: traffic through a low port that was added live."""
    install(debian, old)
    done = debian.run(TRAFFIC + "shuttled -user shuttle -config /etc/shuttle/shuttle.json -state /var/lib/shuttle/state.json -http 127.0.0.1:9090")
    assert "from the backend" in done.stdout, done
    assert '"web"' in debian.path("/var/lib/shuttle/state.json").read_text()
    checked = debian.run("shuttled -check -user shuttle -config /etc/shuttle/shuttle.json -state /var/lib/shuttle/state.json")
    assert "user: shuttle" in checked.stdout and "capabilities: net_bind_service;" in checked.stdout


def test_pages_can_be_read(debian: Debian, old: Path) -> None:
    install(debian, old)
    for page, words in (("8 shuttled", ["-drain-timeout", "-user", "SIGHUP", "/etc/default/shuttled"]), ("1 shuttled-ctl", ["drain", "-wait", "-http"])):
        done = debian.run(f"MANWIDTH=100 man --warnings {page}")
        assert not done.stderr.strip(), done.stderr
        for word in words:
            assert word in done.stdout, (page, word)
    # Every flag of the help is on the page: both come from the same words.
    flags = set(re.findall(r"(?<![\w-])-([a-z][a-z-]+)", debian.run("shuttled -help").stdout.partition("OPTIONS")[2].partition("SUBCOMMANDS")[0]))
    page = debian.run("MANWIDTH=200 man 8 shuttled").stdout
    assert len(flags) > 15 and not [flag for flag in flags if f"-{flag}" not in page]


def test_bash_completes(debian: Debian, old: Path) -> None:
    install(debian, old)
    program = (
        "source /usr/share/bash-completion/bash_completion; _completion_loader shuttled; "
        "COMP_WORDS=(shuttled -dr); COMP_CWORD=1; COMP_LINE='shuttled -dr'; COMP_POINT=12; _shuttled shuttled -dr shuttled; echo ${COMPREPLY[@]}"
    )
    assert "-drain-timeout" in debian.run(f'bash -c "{program}"'.replace("${COMPREPLY", "\\${COMPREPLY")).stdout


def test_an_upgrade_keeps_what_was_changed(debian: Debian, old: Path, new: Path) -> None:
    install(debian, old)
    ours = debian.path("/etc/shuttle/shuttle.json")
    ours.write_text('[{"name": "web", "address": "127.0.0.1:81", "backends": []}]')
    state = debian.path("/var/lib/shuttle/state.json")
    state.write_text("[]")
    install(debian, new)
    assert debian.run("dpkg-query -W -f='${Version}' shuttled").stdout == "0.1.0~test2"
    assert "127.0.0.1:81" in ours.read_text() and state.read_text() == "[]"
    assert debian.run("dpkg --audit").stdout == ""


def test_removing_keeps_and_purging_forgets(debian: Debian, old: Path) -> None:
    before = everything(debian)
    install(debian, old)
    debian.path("/var/lib/shuttle/state.json").write_text("[]")
    debian.path("/var/lib/shuttle/state.json.history").write_text("")
    debian.run("dpkg --remove shuttled")
    assert not debian.path("/usr/bin/shuttled").exists()
    assert debian.path("/etc/default/shuttled").exists() and debian.path("/var/lib/shuttle/state.json").exists()
    debian.run("dpkg --purge shuttled")
    left = everything(debian) - before
    # The user and its group stay, by decision 39.
    assert not {name for name in left if not re.match(r"/(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|var/(lib/dpkg|log|cache)/|tmp/|run/)", name)}, left
    assert debian.run("id shuttle").returncode == 0
    install(debian, old)


def everything(debian: Debian) -> set[str]:
    return {
        "/" + str((Path(folder) / name).relative_to(debian.root))
        for folder, folders, files in os.walk(debian.root) for name in (*folders, *files)
    }  # fmt: skip


def test_a_root_without_liburing_is_refused(debian: Debian, old: Path) -> None:
    """Depends: is what the program needs."""
    debian.run("dpkg --purge --force-depends liburing2")
    done = debian.run(f"dpkg --install {debian.put(old)}", check=False)
    assert done.returncode != 0 and "liburing2" in done.stderr


def test_the_tarball_runs(debian: Debian, packages: Path) -> None:
    tarball = next(packages.glob("*.tar.gz"))
    place = f"/opt/{tarball.name.removesuffix('.tar.gz')}"
    debian.run(f"mkdir -p /opt && tar -C /opt -xf {debian.put(tarball)}")
    done = debian.run(TRAFFIC + f"{place}/bin/shuttled -config {place}/shuttle.json -http 127.0.0.1:9090")
    assert "from the backend" in done.stdout, done
    for name in ("INSTALL", "LICENSE", "README.md", "man/shuttled.8", "completions/fish/shuttled.fish", "systemd/shuttled.service",
                 "container/seccomp.json", "doc/docs/operations.md", "doc/examples/web.json", "doc/NOTICE"):  # fmt: skip
        assert debian.path(f"{place}/{name}").is_file(), name
    listed = subprocess.run(["tar", "-tvf", str(tarball), "--numeric-owner"], capture_output=True, text=True, check=True).stdout
    assert all(" 0/0 " in line for line in listed.splitlines()), "nobody's numbers from where it was made"
    # The install note's commands, as far as they go without a systemd that runs.
    debian.run(f"cd {place} && install -m 0755 bin/shuttled /usr/bin/shuttled && useradd --system --no-create-home --home-dir /var/lib/shuttle shuttle && "
               "install -d /etc/shuttle && install -m 0644 shuttle.json /etc/shuttle/ && shuttled -check -user shuttle -config /etc/shuttle/shuttle.json")


def test_the_sums_are_right(packages: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (packages / "SHA256SUMS").read_text().splitlines())
    files = {file.name for file in packages.iterdir()} - {"SHA256SUMS"}
    assert set(sums) == files
    for name, wanted in sums.items():
        assert hashlib.sha256((packages / name).read_bytes()).hexdigest() == wanted, name


def test_the_same_program_is_packaged_to_the_same_bytes(packages: Path, old: Path, tmp_path: Path) -> None:
    binary = REPOSITORY / ".build/package/release/shuttled"
    again = subprocess.run(
        [str(REPOSITORY / "scripts/package"), "--output", str(tmp_path), "--version", "0.1.0~test1", "--binary", str(binary), "deb"],
        capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again
    assert (tmp_path / old.name).read_bytes() == old.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["rpm"], "unknown argument 'rpm'"), (["--version", "one"], "must begin with a digit"), (["--binary", "/nonexistent"], "which is no program"),
     (["--output"], "needs a value"), (["--version", "1 2"], "must begin with a digit")],
)  # fmt: skip
def test_what_cannot_be_packaged_is_refused(arguments: list[str], said: str) -> None:
    done = subprocess.run([str(REPOSITORY / "scripts/package"), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and said in done.stderr, done
