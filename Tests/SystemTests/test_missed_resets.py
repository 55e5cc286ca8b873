"""No session stays because the kernel did not tell its receive of a reset (decision 5).

That is rare and takes load: six clients with a backend each, every one in a process of its own. `SHUTTLE_RESET_SESSIONS`
says how many sessions each of them has; about one in 20,000 meets it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from multiprocessing.synchronize import Barrier

import pytest

from harness.peers import Scripted
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage
from harness.streams import background, connect, read_to_end

SESSIONS = int(os.environ.get("SHUTTLE_RESET_SESSIONS", "300"))
PAIRS = 6
SILENCE_SECONDS = 10.0
REPLY = b"r" * 30_000
#: More than the backend reads, so that closing makes it reset, and no more than its kernel takes: nothing is left whose
#: send would meet the reset.
REQUEST = b"q" * 50_000


def reply_and_close_unread(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(REPLY)


def one_session(front: str) -> None:
    client = connect(front, timeout=SILENCE_SECONDS)
    with client, background(lambda: client.sendall(REQUEST)):
        # How it ended is not asked: the reset may have gone to the send.
        assert len(read_to_end(client).data) == len(REPLY)


def pair(front: str, behind: str, serving: Barrier) -> None:
    """A backend and its client: in the end the process fails if a session did."""
    peer = Scripted(reply_and_close_unread, behind)
    serving.wait(60)
    serving.wait(60)
    for _ in range(SESSIONS):
        one_session(front)
    peer.close()


@pytest.mark.time_limit(60 + SESSIONS // 100)
def test_no_session_outlives_its_backends_reset(stage: Stage) -> None:
    addresses = [(free_address(), free_address()) for _ in range(PAIRS)]
    context = multiprocessing.get_context("spawn")
    serving = context.Barrier(PAIRS + 1)
    pairs = [context.Process(target=pair, args=(*ends, serving), daemon=True) for ends in addresses]
    for process in pairs:
        process.start()
    serving.wait(60)
    stage.shuttled(
        [service(f"web{i}", front, [backend("b", behind)]) for i, (front, behind) in enumerate(addresses)], rings=2
    )
    serving.wait(60)
    try:
        for process in pairs:
            process.join(50 + SESSIONS / 100)
        assert [process.exitcode for process in pairs] == [0] * PAIRS
    finally:
        for process in pairs:
            process.kill()
            process.join(10)
