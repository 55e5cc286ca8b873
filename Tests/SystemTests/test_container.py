"""packaging/container: the seccomp profile, under which shuttled really runs here, and what can be seen of the Dockerfile without a
container runtime."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage
from harness.streams import connect, echoes
from harness.wait import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "container"
PROFILE = FOLDER / "seccomp.json"
LOADER = Path(__file__).parent / "harness" / "seccomp_profile.py"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
#: Debian's python has libseccomp's module.
PYTHON = "/usr/bin/python3"


def under_profile(*without: str) -> list[str]:
    return [PYTHON, str(LOADER), str(PROFILE), *([",".join(without)] if without else []), "--"]


def names() -> list[str]:
    return [name for rule in json.loads(PROFILE.read_text())["syscalls"] for name in rule["names"]]


# The profile


def test_the_profile_has_the_form_that_runtimes_read() -> None:
    said = json.loads(PROFILE.read_text())
    assert set(said) == {"defaultAction", "defaultErrnoRet", "archMap", "syscalls"}
    assert [entry["architecture"] for entry in said["archMap"]] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    assert names() == sorted(set(names())), "in order, none twice"
    assert {"io_uring_setup", "io_uring_enter", "io_uring_register"} <= set(names())
    # What a proxy has no use for, and what breaks out of containers.
    assert not set(names()) & {"ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "kexec_load", "init_module", "fork", "vfork"}


def test_every_name_is_a_call() -> None:
    program = "import seccomp, sys\nfor name in sys.argv[1:]: assert seccomp.resolve_syscall(seccomp.Arch(), name) != -1, name"
    known = subprocess.run([PYTHON, "-c", program, *names()], capture_output=True, text=True, timeout=20)
    assert known.returncode == 0, known
    bad = subprocess.run([PYTHON, "-c", program, "no_such_call"], capture_output=True, text=True, timeout=20)
    assert bad.returncode != 0, "an unknown name is noticed"


def test_shuttled_does_all_of_its_work_under_the_profile(stage: Stage, tmp_path: Path) -> None:
    """A process that is allowed too little fails here: by a call that is answered with EPERM."""
    echo, named = stage.add(Echo()), stage.add(Named("one"))
    address, other, path = free_address(), free_address(), f"unix:{tmp_path}/web.sock"
    log, tokens = tmp_path / "access.log", tmp_path / "tokens"
    tokens.write_text("ci write 0123456789abcdef0123456789abcdef\n")
    tokens.chmod(0o600)
    services = [
        service("web", address, [backend("b", echo.address, check_address=echo.address)], access_log={}),
        service("local", path, [backend("one", named.address)]),
    ]
    shuttled = stage.prepared(
        services, state=True, wrapper=under_profile(),
        arguments=["-access-log", str(log), "-token-file", str(tokens), "-log-level", "debug"],
    )  # fmt: skip
    shuttled.admin = shuttled.admin.authorized("0123456789abcdef0123456789abcdef")
    shuttled.start()
    with connect(address) as client:
        assert echoes(client)
        assert echoes(client, b"x" * 3_000_000), "bulk, which is spliced"
    with connect(path) as client:
        assert client.recv(100).startswith(b"one")
    shuttled.admin.change("/named", service("named", other, [backend("one", f"localhost:{named.address.rpartition(':')[2]}")]))
    assert stage.name_at(other) == "one"
    shuttled.admin.change("/web/b", {"weight": 3}, "PATCH")
    for page in ("/metrics", "/v1/rings", "/v1/connections", "/v1/history", "/v1/recent", "/openapi.json"):
        shuttled.admin.get(page).expect(200)
    eventually(lambda: log.exists() and log.read_text(), "sessions are logged")
    log.rename(tmp_path / "old.log")
    shuttled.signal(signal.SIGUSR1)
    eventually(log.exists, "the log is opened anew")
    shuttled.signal(signal.SIGHUP)
    eventually(lambda: "tokens read again" in shuttled.log_text() or "ignored" in shuttled.log_text(), "SIGHUP is taken in")
    shuttled.admin.remove("/named")
    text = shuttled.log_text()
    assert "Operation not permitted" not in text and "EPERM" not in text, text
    shuttled.stop()
    shuttled.start()
    assert shuttled.admin.backend("web", "b")


def test_datagrams_under_the_profile(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        client.settimeout(20)
        address = free_address()
        target = "127.0.0.1:%d" % peer.getsockname()[1]
        stage.shuttled([service("dns", address, [backend("b", target)], network="udp", udp_responses=1)], wrapper=under_profile())
        host, _, port = address.rpartition(":")
        client.sendto(b"question", (host, int(port)))
        question, sender = peer.recvfrom(100)
        assert question == b"question"
        peer.sendto(b"answer", sender)
        assert client.recv(100) == b"answer"


def checked(*without: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*under_profile(*without), str(binary()), "-check", *arguments], capture_output=True, text=True, timeout=20)


def test_a_user_is_changed_under_the_profile() -> None:
    done = checked(arguments=("-user", "nobody"))
    assert done.returncode == 0 and "seccomp: a filter is active" in done.stdout, done


def test_without_its_calls_the_start_is_refused(stage: Stage) -> None:
    """What the default profiles of runtimes do."""
    code, said = stage.prepared([], wrapper=under_profile("io_uring_setup", "io_uring_enter", "io_uring_register")).run()
    assert code == 69 and "seccomp" in said, (code, said)


@pytest.mark.parametrize("call", ["socket", "io_uring_register", "clone3,clone"])
def test_a_profile_with_less_is_noticed(stage: Stage, call: str) -> None:
    """That the filter holds at all: a call that is taken away is missed."""
    code, _ = stage.prepared([service("web", free_address())], wrapper=under_profile(*call.split(","))).run()
    assert code != 0


# The Dockerfile


def instructions(text: str) -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip() and not line.startswith("#")]  # type: ignore[misc]


def faults(text: str) -> list[str]:
    """What a look at a Dockerfile finds."""
    found = []
    parsed = instructions(text)
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    for name, value in parsed:
        if name not in known:
            found.append(f"{name} is no instruction that is known here")
        if name == "FROM" and not re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*( AS \w+)?|debian:bookworm-slim", value):
            found.append(f"FROM {value} names no release")
        if name == "COPY" and "--from=" not in value:
            for source in shlex.split(value)[:-1]:
                if not (ROOT / source).exists():
                    found.append(f"COPY of {source}, which does not exist")
        if name in ("ENTRYPOINT", "CMD") and not value.startswith("["):
            found.append(f"{name} by a shell")
    users = [value for name, value in parsed if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        found.append("it runs as root, or as a name")
    return found


def test_the_dockerfile_is_in_order() -> None:
    assert not faults(DOCKERFILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("USER 10001:10001", "USER root"), ("COPY Sources ./Sources", "COPY Sourcs ./Sources"), ('ENTRYPOINT ["/usr/bin/shuttled"]', "ENTRYPOINT shuttled"),
     ("FROM debian:bookworm-slim", "FROM debian:latest"), ("STOPSIGNAL", "STOP")],
)  # fmt: skip
def test_a_dockerfile_with_a_fault_is_refused(old: str, new: str) -> None:
    assert old in DOCKERFILE and faults(DOCKERFILE.replace(old, new))


def test_the_program_takes_the_arguments_of_the_dockerfile() -> None:
    found = dict(instructions(DOCKERFILE))
    assert json.loads(found["ENTRYPOINT"]) == ["/usr/bin/shuttled"]
    done = subprocess.run([binary(), *json.loads(found["CMD"]), "-check"], capture_output=True, text=True, timeout=20)
    assert done.returncode in (0, 1), done
    health = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert health[1:] == ["ctl", "health"]


def test_health_is_told_by_the_exit_code(stage: Stage) -> None:
    shuttled: Shuttled = stage.shuttled([])
    assert subprocess.run([binary(), "ctl", "health", "-http", shuttled.http], capture_output=True, timeout=20).returncode == 0
    assert subprocess.run([binary(), "ctl", "health", "-http", free_address()], capture_output=True, timeout=20).returncode != 0
