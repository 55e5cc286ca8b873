"""Bulk in every way in which a ring can move it, copied and spliced and between the two: whole, in order, both ways."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from harness.peers import Echo, Scripted
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage
from harness.streams import background, random_bytes
from harness.wait import settled
from test_fallbacks import SETTINGS

MIB = 1 << 20
BYTES = 200 * MIB


def send_numbered(connection: socket.socket, block: bytes, count: int) -> None:
    """`count` blocks, each begun at another place, so that none can stand for another."""
    for number in range(count):
        start = number % len(block)
        connection.sendall(block[start:] + block[:start])


def digest_of_numbered(block: bytes, count: int) -> bytes:
    digest = hashlib.sha256()
    for number in range(count):
        start = number % len(block)
        digest.update(block[start:] + block[:start])
    return digest.digest()


def digest_of_received(connection: socket.socket) -> tuple[int, bytes]:
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(262_144):
        digest.update(data)
        count += len(data)
    return count, digest.digest()


@pytest.mark.parametrize("without", ["", *SETTINGS])
def test_200_mb_each_way_at_once(stage: Stage, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend sends its own 200 MB while it reads the client's; both ends of stream come after the last byte."""
    monkeypatch.setenv("SHUTTLE_WITHOUT", without)
    up, down = random_bytes("up", MIB), random_bytes("down", MIB)
    count = BYTES // MIB
    at_backend: list[tuple[int, bytes]] = []
    finished = threading.Event()

    def serve(connection: socket.socket) -> None:
        def send() -> None:
            send_numbered(connection, down, count)
            connection.shutdown(socket.SHUT_WR)

        with background(send):
            at_backend.append(digest_of_received(connection))
        finished.set()

    address = free_address()
    server = stage.add(Scripted(serve))
    shuttled = stage.shuttled([service("bulk", address, [backend("b", server.address)])], rings=1)
    with stage.connect(address) as client:

        def send() -> None:
            send_numbered(client, up, count)
            client.shutdown(socket.SHUT_WR)

        with background(send):
            at_client = digest_of_received(client)
    assert finished.wait(30), "the backend has read everything"
    assert at_client == (BYTES, digest_of_numbered(down, count))
    assert at_backend == [(BYTES, digest_of_numbered(up, count))]
    statistics = shuttled.admin.service("bulk")
    assert (statistics["sent"], statistics["received"]) == (BYTES, BYTES)


@pytest.mark.parametrize("without", ["", "splice", "receive-limit", "bundles"])
def test_a_flow_that_is_bulk_and_chatty_by_turns(stage: Stage, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk is spliced, small messages turn it back into copying: nothing is lost, doubled or held back on either way."""
    monkeypatch.setenv("SHUTTLE_WITHOUT", without)
    address = free_address()
    stage.shuttled([service("echo", address, [backend("e", stage.add(Echo()).address)])], rings=1)
    block = random_bytes("turns", 8 * MIB)
    with stage.connect(address) as client:
        for turn in range(6):
            data = block[turn:] + block[:turn]
            with background(lambda data=data: client.sendall(data)):
                received = bytearray()
                while len(received) < len(data):
                    received += client.recv(262_144)
            assert received == data, f"bulk of turn {turn}"
            # More steps than the window in which a spliced flow is judged.
            for number in range(60):
                message = bytes([turn, number]) * (1 + number)
                client.sendall(message)
                answer = b""
                while len(answer) < len(message):
                    piece = client.recv(len(message) - len(answer))
                    assert piece, "the stream goes on"
                    answer += piece
                assert answer == message, f"message {number} of turn {turn}"


def test_a_sink_that_stops_for_a_while_gets_everything_that_was_spliced(stage: Stage) -> None:
    """The pipe is full of bytes while the sink takes none; they are there when it goes on."""
    block, count = random_bytes("stalled", MIB), 64

    def serve(connection: socket.socket) -> None:
        send_numbered(connection, block, count)

    address = free_address()
    shuttled = stage.shuttled([service("s", address, [backend("b", stage.add(Scripted(serve)).address)])], rings=1)
    with stage.connect(address) as client:
        digest, received = hashlib.sha256(), 0
        for part in range(4):
            # Until nothing more can be on its way but what the kernel and the pipe hold.
            settled(lambda: shuttled.admin.service("s")["received"], "nothing more is taken from the backend")
            while received < (part + 1) * (count // 4) * MIB:
                data = client.recv(min(262_144, (part + 1) * (count // 4) * MIB - received))
                assert data, "the stream goes on"
                digest.update(data)
                received += len(data)
        assert client.recv(1) == b""
    assert digest.digest() == digest_of_numbered(block, count)
