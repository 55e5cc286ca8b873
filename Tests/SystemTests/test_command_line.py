"""Flags, exit codes and messages: what a person at the command line sees."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess

import pytest

from harness.admin import Admin
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage, read_line
from harness.wait import eventually

FLAGS = [
    "config", "state", "http", "rings", "log-level", "log-format", "drain-timeout", "http-host", "check", "version",
    "help", "token-file", "http-mode", "user", "group",
]  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run that ends by itself."""
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=20)


# Flags


@pytest.mark.parametrize("dashes", ["-", "--"])
def test_every_flag_works_with_one_dash_and_with_two(stage: Stage, dashes: str) -> None:
    instance = stage.prepared()
    address = free_address()
    instance.write_config([service("web", address)])
    values = {
        "config": instance.config_path, "state": instance.state_path, "http": instance.http, "rings": 1,
        "log-level": "debug", "log-format": "json", "drain-timeout": 1000, "http-host": "proxy.example",
    }  # fmt: skip
    instance.command = [str(binary())] + [
        str(word) for flag, value in values.items() for word in (dashes + flag, value)
    ]
    instance.start()
    assert [entry["address"] for entry in instance.admin.config()] == [address]
    assert len(instance.view.rings()) == 1
    instance.admin.get("/config", host="proxy.example").expect(200)
    instance.stop()
    for flag in ("version", "help"):
        assert run(dashes + flag).returncode == 0
    assert run(f"{dashes}check", f"{dashes}config", str(instance.config_path)).returncode == 0


def test_a_value_may_follow_an_equals_sign(stage: Stage) -> None:
    instance = stage.prepared()
    instance.command = [str(binary()), f"-http={instance.http}", "--rings=1"]
    instance.start()
    assert instance.admin.config() == []


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_the_version_is_printed(flag: str) -> None:
    done = run(flag)
    assert done.returncode == 0
    assert re.search(r"\b\d+\.\d+\.\d+", done.stdout), done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("flag", ["-help", "--help", "-h"])
def test_help_names_every_flag(flag: str) -> None:
    done = run(flag)
    assert done.returncode == 0
    for name in FLAGS:
        assert re.search(rf"(?<![\w-])--?{name}\b", done.stdout), f"{name} is not in: {done.stdout}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-confg", "x"],
        ["-http-hosts", "x"],
        ["-rings", "0"],
        ["-rings", "-1"],
        ["-rings", "many"],
        ["-rings", "257"],
        ["-rings"],
        ["-drain-timeout", "-5"],
        ["-drain-timeout", "soon"],
        ["-log-level", "loud"],
        ["-log-format", "xml"],
        ["-http", "nonsense"],
        ["-http", "127.0.0.1:99999"],
        ["-http", "127.0.0.1"],
        ["-state", ""],
        ["extra"],
        ["-usr", "nobody"],
        ["-group", "nogroup"],
        ["-token-file"],
        ["-token-file", ""],
        ["-http-mode", "0660"],
        ["-http-mode", "rw"],
    ],
    ids=" ".join,
)
def test_a_bad_flag_is_a_usage_error_that_names_it(arguments: list[str]) -> None:
    """Exit code 64. Flags of capabilities that are not there yet are refused as unknown."""
    done = run(*arguments)
    assert done.returncode == 64, (done.returncode, done.stderr)
    assert arguments[0].lstrip("-") in done.stderr, done.stderr
    named = arguments[0] in ("-rings", "-log-level", "-log-format", "-http")
    if named and len(arguments) > 1 and not arguments[1].startswith("-"):
        assert arguments[1] in done.stderr, "the value is named: " + done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]", ""])
def test_the_admin_endpoint_stays_on_loopback(host: str) -> None:
    """A TCP address that others can reach is refused until there are tokens."""
    done = run("-http", free_address(host))
    assert done.returncode == 64, (done.returncode, done.stderr)
    assert "loopback" in done.stderr.lower(), done.stderr


def test_the_admin_endpoint_is_at_its_default_address_without_the_flag() -> None:
    assert "127.0.0.1:9090" in run("-help").stdout


# Configuration


BAD_FILES = {
    "syntax": ('[\n  {"name": "web",\n   "address": "127.0.0.1:80",,\n  }\n]', ["config.json:3:"]),
    "not a list": ('"web"', ["config.json:1:"]),
    "unknown field": (
        '[\n {"name": "web", "address": "127.0.0.1:80",\n  "balence": "RR"}\n]',
        ["config.json:3:", "/0/balence", "balance"],
    ),
    "range": (
        '[\n {"name": "web", "address": "127.0.0.1:80", "backends": [\n  {"name": "a", "address": "127.0.0.1:1"},\n'
        '  {"name": "b", "address": "127.0.0.1:2",\n   "weight": 1000}\n ]}\n]',
        ["config.json:5:", "/0/backends/1/weight", "1000"],
    ),
    "missing": (
        '[\n {"name": "fine", "address": "127.0.0.1:80"},\n {"name": "web"}\n]',
        ["config.json:3:", "/1/address"],
    ),
    "twice": (
        '[\n {"name": "a", "address": "127.0.0.1:80"},\n {"name": "b",\n  "address": "127.0.0.1:80"}\n]',
        ["config.json:4:", "/1/address", "127.0.0.1:80"],
    ),
    "duplicate key": (
        '[\n {"name": "web", "address": "127.0.0.1:80",\n  "fall": 1,\n  "fall": 2}\n]',
        ["config.json:4:", "fall"],
    ),
    "empty": ("", []),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_configuration_is_refused_with_its_place(stage: Stage, fault: str) -> None:
    """Exit code 65, with file, line (as `file:line:column`) and JSON pointer; -check says the same and exits 1."""
    text, words = BAD_FILES[fault]
    instance = stage.prepared(text)
    code, said = instance.run()
    assert code == 65, (code, said)
    for word in ("config.json", *words):
        assert word in said, f"{word!r} is not in: {said}"
    checked = run("-check", "-config", str(instance.config_path))
    assert checked.returncode == 1, checked
    for word in ("config.json", *words):
        assert word in checked.stdout + checked.stderr


def test_a_configuration_that_is_not_there_is_refused(stage: Stage) -> None:
    instance = stage.prepared([])
    instance.config_path.unlink()
    code, said = instance.run()
    assert code == 65, (code, said)
    assert "config.json" in said and "no such file" in said.lower()
    assert run("-check", "-config", str(instance.config_path)).returncode == 1


def test_check_says_what_is_right_and_touches_nothing(stage: Stage) -> None:
    """It is run beside a running instance: it binds nothing, writes nothing, and names what the machine offers."""
    one = stage.add(Named("one"))
    address = free_address()
    running = stage.shuttled([service("web", address, [backend("b", one.address)])], state=True)
    running.admin.change("/web/c", backend("c", one.address))
    files = {path: path.read_bytes() for path in running.directory.iterdir() if path != running.log_path}
    done = run("-check", "-config", str(running.config_path), "-state", str(running.state_path), "-http", running.http)
    assert done.returncode == 0, done
    assert "io_uring" in done.stdout, done.stdout
    assert files == {path: path.read_bytes() for path in running.directory.iterdir() if path != running.log_path}
    assert stage.name_at(address) == "one"


def test_check_warns_of_a_name_that_a_start_would_leave_out(stage: Stage) -> None:
    backends = [backend("gone", "nothing.invalid:80"), backend("one", stage.add(Named("one")).address)]
    address = free_address()
    instance = stage.prepared([service("web", address, backends)])
    done = run("-check", "-config", str(instance.config_path))
    assert done.returncode == 0, done
    for words in ("/0/backends/0/address", "nothing.invalid", "a warning"):
        assert words in done.stdout, done.stdout
    instance.start()
    assert stage.name_at(address) == "one"


# The machine


def test_there_is_one_ring_for_each_usable_cpu(stage: Stage) -> None:
    """The affinity mask counts, not the machine's number."""
    for cpus in {1, len(os.sched_getaffinity(0))}:
        mask = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cpus]))
        shuttled = stage.shuttled(rings=None, wrapper=["taskset", "-c", mask])
        assert len(shuttled.view.rings()) == cpus
        shuttled.stop()


@pytest.mark.parametrize("rings", [1, 3, 16])
def test_there_are_as_many_rings_as_asked_for(stage: Stage, rings: int) -> None:
    assert len(stage.shuttled(rings=rings).view.rings()) == rings


def test_the_descriptor_limit_is_raised_and_the_capacity_logged(stage: Stage) -> None:
    shuttled = stage.shuttled(wrapper=["prlimit", "--nofile=1024:8192", "--"])
    soft, hard = shuttled.view.limit("Max open files")
    assert soft == hard == "8192"
    assert re.search(r"capacity|sessions", shuttled.log_text(), re.IGNORECASE), shuttled.log_text()


# The log


def test_changes_that_live_in_memory_only_are_warned_about_once(stage: Stage) -> None:
    shuttled = stage.shuttled()
    for _ in range(3):
        shuttled.admin.change("/web", service("web", free_address()))
    warnings = [line for line in shuttled.log_text().splitlines() if "memory" in line and "warn" in line.lower()]
    assert len(warnings) == 1, shuttled.log_text()
    kept = stage.shuttled(state=True)
    kept.admin.change("/web", service("web", free_address()))
    assert "memory" not in kept.log_text()


def test_a_json_log_is_json_line_by_line(stage: Stage) -> None:
    shuttled = stage.shuttled(arguments=["-log-format", "json", "-log-level", "debug"])
    shuttled.admin.change("/web", service("web", free_address()))
    shuttled.admin.put("/web", {}).expect(400)
    shuttled.stop()
    lines = shuttled.log_text().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert {"level", "message"} <= set(entry), line


def test_the_log_level_says_how_much_is_said(stage: Stage) -> None:
    said = {}
    for level in ("debug", "info", "error"):
        shuttled = stage.shuttled(arguments=["-log-level", level])
        shuttled.admin.change("/web", service("web", free_address()))
        shuttled.stop()
        said[level] = len(shuttled.log_text().splitlines())
    assert said["error"] == 0, "a good start and a clean stop are no errors"
    assert 0 < said["info"] < said["debug"]


# The admin endpoint on a unix socket


@pytest.mark.parametrize("prefix", ["", "unix:"])
def test_the_admin_endpoint_may_be_a_unix_socket(stage: Stage, prefix: str) -> None:
    path = stage.directory / "admin.sock"
    shuttled = stage.shuttled(http=f"{prefix}{path}")
    assert shuttled.admin.config() == []
    shuttled.admin.get("/config", host="any.example").expect(200)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert path.stat().st_mode & 0o007 == 0, "not everybody on the machine may change the configuration"
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", str(path), "http://localhost/config"],
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.stdout == "[]\n"
    shuttled.stop()
    assert not path.exists(), "it takes its socket along"


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(stage: Stage) -> None:
    path = stage.directory / "admin.sock"
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()
    assert path.exists()
    first = stage.shuttled(http=str(path))
    second = stage.prepared(http=str(path))
    code, said = second.run()
    assert code == 71, (code, said)
    assert "admin.sock" in said
    assert first.admin.config() == [], "the first is still reached there"
    first.kill()
    assert path.exists()
    assert stage.shuttled(http=str(path)).admin.config() == []


def test_a_file_where_the_unix_socket_should_be_is_left_alone(stage: Stage) -> None:
    path = stage.directory / "admin.sock"
    path.write_text("precious")
    code, said = stage.prepared(http=str(path)).run()
    assert code == 71, (code, said)
    assert "admin.sock" in said
    assert path.read_text() == "precious"


def test_it_is_ready_when_it_serves(stage: Stage) -> None:
    """/readyz is 200 only once every listener is open; a client that waits for it is never refused."""
    one = stage.add(Named("one"))
    for _ in range(10):
        addresses = [free_address() for _ in range(20)]
        shuttled: Shuttled = stage.prepared(
            [service(f"s{i}", address, [backend("b", one.address)]) for i, address in enumerate(addresses)]
        )
        shuttled.launch()
        eventually(lambda: Admin(shuttled.http).get("/readyz").status == 200, "it is ready")
        clients = [stage.connect(address) for address in addresses]
        assert {read_line(client) for client in clients} == {"one"}
        for client in clients:
            client.close()
        shuttled.stop()
