"""How often a ring goes into the kernel: what a request costs on a connection that is alone."""

from __future__ import annotations

import os
import signal
import subprocess

from harness.shuttled import Shuttled
from harness.stage import Stage
from harness.wait import eventually
from test_allocations import REQUEST, RESPONSE, Load

REQUESTS = 1000


def ring_thread(shuttled: Shuttled) -> int:
    assert shuttled.process is not None
    folder = f"/proc/{shuttled.process.pid}/task"
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/comm", encoding="ascii") as file:
            if file.read().strip() == "ring-0":
                return int(thread)
    raise AssertionError("no thread is called ring-0")


def test_a_request_on_a_single_connection_takes_two_turns(stage: Stage) -> None:
    """One for the request and one for the answer: none for sends, which complete while they are submitted."""
    load = Load(stage)
    shuttled = stage.shuttled(load.services, rings=1)
    pair = load.connect()
    for end in pair:
        stage.add(end)
    load.exchange([pair], 20)
    output = stage.directory / "calls"
    with subprocess.Popen(
        ["strace", "-c", "-o", output, "-p", str(ring_thread(shuttled))], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None and "attached" in strace.stderr.readline()
        load.exchange([pair], REQUESTS)
        strace.send_signal(signal.SIGINT)
    # Share of the time, seconds, microseconds a call, calls, errors where there are any, name.
    rows = [line.split() for line in output.read_text().splitlines() if line.endswith(" io_uring_enter")]
    assert len(rows) == 1, output.read_text()
    assert 1.5 * REQUESTS <= int(rows[0][3]) <= 2.5 * REQUESTS


def test_the_last_bytes_are_counted_while_nothing_else_happens(stage: Stage) -> None:
    load = Load(stage)
    shuttled = stage.shuttled(load.services, rings=1)
    pair = load.connect()
    for end in pair:
        stage.add(end)
    load.exchange([pair], 1)
    eventually(
        lambda: (lambda found: (found["sent"], found["received"]) == (len(REQUEST), len(RESPONSE)))(
            shuttled.admin.services()[0]
        ),
        lambda: f"both directions are counted: {shuttled.admin.services()}",
    )
