"""Every command of docs/tracing.md is run as it stands there, beside traffic, and must see what it says that it sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.peers import Echo, Refusing
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage
from harness.streams import connect, echoes

DOCUMENT = Path(__file__).parents[2] / "docs" / "tracing.md"
COMMANDS = re.findall(r"^```\n(bpftrace -e '.*')\n```$", DOCUMENT.read_text(), re.M)
#: What must be printed, by a word of the command; those that print nothing while all goes well have to be accepted only.
EXPECTED = {
    "args->user_data >> 56] = count": r"@\[ring-\d, 5\]: \d+",
    "args->res < 0": r"@\[2, -111\]: \d+",
    "to_submit": r"@submitted: \n",
    "@left[tid]": r"@microseconds\[ring-\d\]: \n",
    "raw_syscalls": r"@\[426\]: \d+",
    "queue_async_work": "",
    "tcp_retransmit_skb": "",
    "connect_end": r"@\[ring-\d, -111\]: \d+",
    "shuttle:turn": r"@completions\[ring-\d\]: \n",
    "session_end": r"@milliseconds\[1\]: \n",
    "shuttle:adopt": r"@\[ring-\d\]: \n",
}


def refusal() -> str:
    """Why nothing can be traced here; empty where it can."""
    if os.geteuid() != 0:
        return "tracing needs root"
    if not shutil.which("bpftrace"):
        return "bpftrace is not installed: run scripts/setup test"
    if not Path("/sys/kernel/tracing/events").exists():
        mounted = subprocess.run(["mount", "-t", "tracefs", "nodev", "/sys/kernel/tracing"], capture_output=True, text=True)
        if mounted.returncode != 0:
            return f"no tracefs here: {mounted.stderr.strip()}"
    for probe in ("tracepoint:io_uring:io_uring_complete", "tracepoint:raw_syscalls:sys_enter"):
        done = subprocess.run(
            ["bpftrace", "-e", f"{probe} {{ exit(); }} interval:s:1 {{ exit(); }}"], capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            return f"bpftrace cannot trace here: {done.stderr.strip()[-300:]}"
    return ""


@pytest.fixture(scope="module")
def tracing() -> None:
    why_not = refusal()
    if why_not:
        pytest.skip(why_not)


@pytest.fixture
def traffic(stage: Stage) -> Iterator[Shuttled]:
    """Sessions that come and go, connects that are refused, and changes, until the test is over."""
    echo, dead = stage.add(Echo()), stage.add(Refusing())
    address, broken = free_address(), free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", echo.address)]),
         service("broken", broken, [backend("dead", dead.address)], passive={"failures": 0})]
    )  # fmt: skip
    is_over = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        weight = 1
        try:
            while not is_over.is_set():
                for _ in range(20):
                    with connect(address) as client:
                        assert echoes(client)
                    with connect(broken) as client:
                        try:
                            client.recv(1)
                        except ConnectionError:
                            pass
                weight = 3 - weight
                shuttled.admin.change("/web/b", {"weight": weight}, "PATCH")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield shuttled
    is_over.set()
    thread.join()
    assert not failures, failures


def test_every_command_is_one_that_is_tried() -> None:
    assert len(COMMANDS) == len(EXPECTED) == DOCUMENT.read_text().count("bpftrace -e")
    for word in EXPECTED:
        assert sum(word in command for command in COMMANDS) == 1, word


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("word", EXPECTED)
def test_it_shows_what_it_says(tracing: None, traffic: Shuttled, word: str) -> None:
    (command,) = (command for command in COMMANDS if word in command)
    if "usdt:" in command:
        notes = subprocess.run(["readelf", "-n", binary()], capture_output=True, text=True, check=True).stdout
        assert "stapsdt" in notes, "the program was built without sys/sdt.h (systemtap-sdt-dev)"
    program = re.fullmatch(r"bpftrace -e '(.*)'", command)[1]  # type: ignore[index]
    done = subprocess.run(
        ["bpftrace", "-e", program.replace("/usr/bin/shuttled", str(binary()))], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert re.search(EXPECTED[word], done.stdout), f"{command}\n{done.stdout}\n{done.stderr}"
    if not EXPECTED[word]:
        assert "@overflows" not in done.stdout and "@handed_over" not in done.stdout, done.stdout
