"""-user and -group: what the process is afterwards, what it can still do, and what is refused. Runs as root."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage
from harness.streams import connect, echoes
from harness.wait import eventually

USER = "nobody"
NUMBER = pwd.getpwnam(USER).pw_uid
GROUP = pwd.getpwnam(USER).pw_gid
BIND_SERVICE = 1 << 10
TOKENS = "ci write 0123456789abcdef0123456789abcdef\n"


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests change users: run them as root")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user's, where everybody may come: those of pytest are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="shuttle-identity-"))
    folder.chmod(0o755)
    os.chown(folder, NUMBER, GROUP)
    yield folder
    shutil.rmtree(folder)


def prepared(stage: Stage, home: Path, services: Any = None, *arguments: str, user: str = USER, **options: Any) -> Shuttled:
    instance = Shuttled(home, services, arguments=["-user", user, *arguments], **options)
    stage.instances.append(instance)
    return instance


def low_address() -> str:
    """One that only CAP_NET_BIND_SERVICE may listen on."""
    start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert start > 1000, "every port is free for everybody here"
    for port in range(start - 1, 500, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return f"127.0.0.1:{port}"
    raise AssertionError("no low port is free")


def status_of_threads(pid: int) -> list[dict[str, str]]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found.append(dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    return found


def test_every_thread_is_the_user_with_one_right(home: Path, stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    shuttled = prepared(stage, home, [service("web", address, [backend("b", echo.address)])], state=True).start()
    with connect(address) as client:
        assert echoes(client)
    assert shuttled.process
    threads = status_of_threads(shuttled.process.pid)
    assert len(threads) >= 4, "rings, the control loop, the main thread"
    for thread in threads:
        name = thread["Name"]
        assert thread["Uid"].split() == [str(NUMBER)] * 4, name
        assert thread["Gid"].split() == [str(GROUP)] * 4, name
        assert set(thread["Groups"].split()) <= {str(GROUP)}, name
        for field in ("CapPrm", "CapEff", "CapBnd"):
            assert int(thread[field], 16) == BIND_SERVICE, (name, field, thread[field])
        for field in ("CapInh", "CapAmb"):
            assert int(thread[field], 16) == 0, (name, field)
        assert thread["NoNewPrivs"].strip() == "1", name
    assert "user changed" in shuttled.log_text()


def test_root_without_the_flag_gains_nothing_more(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    assert shuttled.process
    assert {thread["NoNewPrivs"].strip() for thread in status_of_threads(shuttled.process.pid)} == {"1"}


def test_low_ports_are_listened_on_afterwards(home: Path, stage: Stage) -> None:
    """At the start, live, and after having been removed."""
    peer = stage.add(Named("one"))
    first, second = low_address(), free_address()
    shuttled = prepared(stage, home, [service("web", first, [backend("one", peer.address)])]).start()
    assert stage.name_at(first) == "one"
    shuttled.admin.remove("/web")
    shuttled.admin.change("/web", service("web", second, [backend("one", peer.address)]))
    shuttled.admin.change("/web", service("web", first, [backend("one", peer.address)]))
    assert stage.name_at(first) == "one"


def test_a_wildcard_becomes_one_of_its_addresses_live(home: Path, stage: Stage) -> None:
    """Both are bound at a time for a moment, which the kernel lets only sockets of one user do."""
    peer = stage.add(Named("one"))
    address = low_address()
    port = address.rpartition(":")[2]
    shuttled = prepared(stage, home, [service("web", f"0.0.0.0:{port}", [backend("one", peer.address)])]).start()
    for now in (address, f"0.0.0.0:{port}", address):
        shuttled.admin.change("/web", service("web", now, [backend("one", peer.address)]))
        assert stage.name_at(address) == "one"


def test_sockets_of_different_users_share_no_address() -> None:
    """Why listeners are bound by who serves, and not by root before (decision 35)."""
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("0.0.0.0", 0))
        first.listen()
        program = (
            "import os, socket, sys\n"
            f"os.setuid({NUMBER}) if sys.argv[1] == 'other' else None\n"
            "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
            "try: s.bind(('127.0.0.1', int(sys.argv[2])))\n"
            "except OSError as error: sys.exit(error.errno)\n"
        )
        codes = [
            subprocess.run(["/usr/bin/python3", "-c", program, who, str(first.getsockname()[1])], timeout=20).returncode
            for who in ("same", "other")
        ]
    assert codes == [0, errno.EADDRINUSE]


def test_files_are_the_users(home: Path, stage: Stage) -> None:
    """State, history, unix sockets and the access log are written as the user, at the start and later."""
    peer = stage.add(Named("one"))
    path, log = home / "web.sock", home / "access.log"
    shuttled = prepared(
        stage, home, [service("web", f"unix:{path}", [backend("one", peer.address)], access_log={})],
        "-access-log", str(log), state=True,
    ).start()  # fmt: skip
    with connect(f"unix:{path}") as client:
        assert client.recv(100)
    shuttled.admin.change("/web/one", {"weight": 3}, "PATCH")
    eventually(lambda: log.exists() and log.read_text(), "the session is logged")
    for file in (shuttled.state_path, shuttled.state_path.with_name("state.json.history"), path, log):
        assert file.stat().st_uid == NUMBER and file.stat().st_gid == GROUP, file
    shuttled.admin.change("/web", service("web", f"unix:{path}", [backend("one", peer.address)], socket_mode="0600"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shuttled.stop()
    assert not path.exists()
    shuttled.start()
    assert shuttled.admin.backend("web", "one")


def test_a_socket_cannot_be_given_to_others_afterwards(home: Path, stage: Stage) -> None:
    shuttled = prepared(stage, home, []).start()
    problem = shuttled.admin.put("/web", service("web", f"unix:{home}/web.sock", socket_owner="root")).problem(400)
    problem.points_to("/socket_owner").says("CAP_CHOWN")
    assert not (home / "web.sock").exists() and shuttled.admin.config() == []


def test_the_configuration_is_read_again(home: Path, stage: Stage) -> None:
    shuttled = prepared(stage, home, [service("web", free_address())]).start()
    shuttled.write_config([service("web", free_address()), service("other", free_address())])
    shuttled.signal(signal.SIGHUP)
    eventually(lambda: len(shuttled.admin.config()) == 2, "the file was read as the user")


def test_the_admin_socket_is_given_to_the_user(home: Path, stage: Stage) -> None:
    """It is made as root, where root alone may make files."""
    folder = home / "run"
    folder.mkdir(mode=0o755)
    path = folder / "admin.sock"
    shuttled = prepared(stage, home, [], "-http-mode", "0660", http=f"unix:{path}").start()
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (NUMBER, GROUP, 0o660)
    shuttled.stop()
    # The folder is root's: the file stays, and the next start replaces it.
    assert path.exists()
    shuttled.start()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-user", "nobdy"], ['-user is "nobdy"', "getent passwd"]),
        (["-user", ""], ['-user is ""', "getent passwd"]),
        (["-user", "root"], ['-user is "root"', "nothing would be given up"]),
        (["-user", "0"], ['-user is "0"']),
        (["-user", "4000001"], ['-user is "4000001"', "-group"]),
        (["-user", USER, "-group", "nogrup"], ['-group is "nogrup"', "getent group"]),
        (["-group", "nogroup"], ["-group", "-user"]),
        (["-user", "4294967295"], ["4294967295"]),
    ],
)
def test_who_cannot_be_become_is_named(arguments: list[str], words: list[str]) -> None:
    for more in ([], ["-check"]):
        done = subprocess.run([binary(), "-http", free_address(), *arguments, *more], capture_output=True, text=True, timeout=20)
        assert done.returncode == 64, done
        for word in words:
            assert word in done.stderr, done


def test_others_than_root_cannot_change(home: Path, stage: Stage) -> None:
    as_nobody = ["setpriv", "--reuid", str(NUMBER), "--regid", str(GROUP), "--clear-groups"]
    code, said = prepared(stage, home, [], user="daemon", wrapper=as_nobody).run()
    assert code == 64 and '-user is "daemon"' in said and "CAP_SETUID" in said and "User=" in said, said
    code, said = prepared(stage, home, [], user=USER, without_capabilities=["setuid"]).run()
    assert code == 64 and "root here has no CAP_SETUID" in said, said


def test_who_is_the_user_already_goes_on(home: Path, stage: Stage) -> None:
    as_nobody = ["setpriv", "--reuid", str(NUMBER), "--regid", str(GROUP), "--clear-groups"]
    address = free_address()
    shuttled = prepared(stage, home, [service("web", address)], wrapper=as_nobody).start()
    assert shuttled.process and status_of_threads(shuttled.process.pid)[0]["CapEff"].strip("0\n") == ""


def test_without_the_capability_low_ports_are_refused(home: Path, stage: Stage) -> None:
    """As in a container that has dropped it: a warning at the start, and words where it is needed."""
    low = low_address()
    dropped = {"without_capabilities": ["net_bind_service"]}
    shuttled = prepared(stage, home, [service("web", free_address())], **dropped).start()
    assert "no CAP_NET_BIND_SERVICE to keep" in shuttled.log_text()
    before = shuttled.admin.config_text()
    problem = shuttled.admin.put("/low", service("low", low)).problem(400)
    problem.points_to("/address").says("CAP_NET_BIND_SERVICE", "net.ipv4.ip_unprivileged_port_start")
    assert shuttled.admin.config_text() == before
    shuttled.stop()
    code, said = prepared(stage, home, [service("low", low)], **dropped).run()
    assert code == 71 and "CAP_NET_BIND_SERVICE" in said, (code, said)


@pytest.mark.parametrize("what", ["config", "state", "token-file"])
def test_files_that_the_user_may_not_read_are_named(home: Path, stage: Stage, what: str) -> None:
    file = home / "secret"
    file.write_text(TOKENS if what == "token-file" else "[]")
    file.chmod(0o600)
    code, said = prepared(stage, home, None, f"-{what}", str(file)).run()
    assert code == 65 and str(file) in said and "Permission denied" in said and f"user {NUMBER}" in said, (code, said)
    os.chown(file, NUMBER, GROUP)
    prepared(stage, home, None, f"-{what}", str(file))
    done = subprocess.run(
        [binary(), "-check", f"-{what}", str(file), "-user", USER], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done


def test_a_state_that_the_user_may_not_replace_is_refused(home: Path, stage: Stage) -> None:
    """Not at the first change, which would fail: at the start."""
    folder = home / "lib"
    folder.mkdir(mode=0o755)
    code, said = prepared(stage, home, None, "-state", str(folder / "state.json")).run()
    assert code == 65 and str(folder) in said and "Permission denied" in said, (code, said)
    os.chown(folder, NUMBER, GROUP)
    prepared(stage, home, None, "-state", str(folder / "state.json")).start()


def test_check_says_what_the_privileges_are(home: Path) -> None:
    done = subprocess.run([binary(), "-check", "-user", USER], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done
    assert f"user: {USER} ({NUMBER}), group: nogroup ({GROUP}), supplementary groups: none" in done.stdout
    assert "capabilities: net_bind_service; ports below 1024 can be listened on" in done.stdout
    assert "no new privileges: set, seccomp: none, capabilities that could be gained: none" in done.stdout
    assert re.search(r"ring operations: restricted to the 1\d that are used", done.stdout)
    config = home / "config.json"
    config.write_text("[]")
    config.chmod(0o600)
    done = subprocess.run([binary(), "-check", "-user", USER, "-config", str(config)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "Permission denied" in done.stdout, "files are looked at as the user"
