"""What happens to ends and resets on their way through: cases 1 to 8 of the list in docs/tests.md.

The rule behind all of them: each direction delivers a prefix of what was sent, all of it where the end is a FIN, and a
reset never looks like a FIN. Amounts, speeds and sizes are in `test_flow.py`.
"""

from __future__ import annotations

import queue
import socket
import statistics
import threading
import time
from collections.abc import Callable

import pytest

from harness.peers import Recorder, Scripted, banner_then_echo, reply_after_eof, send_then_reset
from harness.stage import Stage
from harness.streams import (
    End,
    Stream,
    background,
    echoes,
    exchange,
    finish,
    random_bytes,
    read_exactly,
    read_to_end,
    reset,
    same_prefix,
    unacknowledged_bytes,
)
from harness.wait import Stopwatch, eventually

MIB = 1024 * 1024

# Half-close


def test_the_client_may_finish_first_and_still_get_the_whole_reply(stage: Stage) -> None:
    """Case 1: the client sends and finishes; the backend replies 1 MiB a second later; the client gets all."""
    request, reply = random_bytes("request", 300_000), random_bytes("reply", MIB)
    received: list[Stream] = []
    front = stage.front(stage.add(Scripted(reply_after_eof(reply, 1.0, received))).address)
    client = front.connect()

    answer = exchange(client, request)

    received[0].is_all_of(request)
    answer.is_all_of(reply)


def test_the_backend_may_finish_first_and_still_get_the_whole_request(stage: Stage) -> None:
    """Case 2: the same with the sides exchanged."""
    greeting, request = random_bytes("greeting", 300_000), random_bytes("request", MIB)
    received: list[Stream] = []

    def speak_finish_and_listen(connection: socket.socket) -> None:
        connection.sendall(greeting)
        finish(connection)
        received.append(read_to_end(connection))

    front = stage.front(stage.add(Scripted(speak_finish_and_listen)).address)
    client = front.connect()
    read_to_end(client).is_all_of(greeting)
    time.sleep(1.0)
    client.sendall(request)
    finish(client)

    eventually(lambda: received, "the backend reads to the end")
    received[0].is_all_of(request)
    eventually(lambda: not front.shuttled.active(), "the session ends by itself")


def test_both_sides_may_finish_at_the_same_moment(stage: Stage) -> None:
    """Case 3: no hang, no reset, and the session is gone."""
    meet = threading.Barrier(2)
    endings: list[Stream] = []

    def backend_side(connection: socket.socket) -> None:
        connection.sendall(b"hello from the backend")
        meet.wait(20)
        finish(connection)
        endings.append(read_to_end(connection))

    front = stage.front(stage.add(Scripted(backend_side)).address)
    for number in range(50):
        client = front.connect()
        client.sendall(b"hello from the client")
        assert read_exactly(client, 22) == b"hello from the backend"
        meet.wait(20)
        finish(client)
        read_to_end(client).is_all_of(b"")
        eventually(lambda: len(endings) > number, "the backend sees the end")
        endings[number].is_all_of(b"hello from the client")
        client.close()
    front.shuttled.wait_idle()


def test_the_server_may_speak_first(stage: Stage) -> None:
    """Case 4: its banner arrives with no byte from the client."""
    front = stage.front(stage.add(Scripted(banner_then_echo(b"220 ready\r\n"))).address)
    client = front.connect()
    assert read_exactly(client, 11) == b"220 ready\r\n"
    assert echoes(client)


# Resets


def test_bytes_before_a_backends_reset_arrive_and_then_the_reset(stage: Stage) -> None:
    """Case 5: the backend sends 3 MiB and resets, the client is slow; it gets all, and never a clean end."""
    data = random_bytes("before the reset", 3 * MIB)
    front = stage.front(stage.add(Scripted(send_then_reset(data))).address)
    client = front.connect(receive_buffer=65_536)

    stream = read_to_end(client, pause=0.002, piece=16_384)

    same_prefix(stream.data, data)
    assert stream.end is End.RESET, f"{stream}: a reset must not look like a clean end"
    assert len(stream.data) == len(data), f"{len(stream.data)} of {len(data)} bytes that came before the reset"


def test_bytes_before_a_clients_reset_arrive_and_then_the_reset(stage: Stage) -> None:
    """Case 5, the other way round."""
    data = random_bytes("before the reset", 3 * MIB)
    backend_peer = stage.add(Recorder())
    front = stage.front(backend_peer.address)
    client = front.connect()
    client.sendall(data)
    eventually(lambda: unacknowledged_bytes(client) == 0, "all that was sent is acknowledged")
    reset(client)

    stream = backend_peer.ended()

    same_prefix(stream.data, data)
    assert stream.end is End.RESET, f"{stream}: a reset must not look like a clean end"
    assert len(stream.data) == len(data)


@pytest.mark.parametrize("reset_by", ["client", "backend"])
def test_a_reset_that_a_pending_send_sees_first_is_still_passed_on(stage: Stage, reset_by: str) -> None:
    """Case 6: towards the side that resets a send is pending, from it bytes keep coming; the other must see a reset.

    The kernel reports a reset once. When the send gets it, the next receive says 0, as at a clean end.
    """
    rounds = 20
    backend_sides: list[socket.socket] = []
    held = threading.Event()

    def keep(connection: socket.socket) -> None:
        backend_sides.append(connection)
        held.wait(60)

    front = stage.front(stage.add(Scripted(keep)).address)
    endings = []
    try:
        for number in range(rounds):
            client = front.connect(receive_buffer=16_384)
            eventually(lambda: len(backend_sides) > number, "the backend has the connection")
            resetting, watching = (
                (client, backend_sides[number]) if reset_by == "client" else (backend_sides[number], client)
            )
            _fill(watching)  # until nothing more is taken: a send towards the resetting side is pending
            resetting.setblocking(True)
            resetting.sendall(b"still talking")
            reset(resetting)
            watching.settimeout(20)
            endings.append(read_to_end(watching).end)
            watching.close()
    finally:
        held.set()
    assert endings == [End.RESET] * rounds


def _fill(connection: socket.socket) -> None:
    """Writes until the other side has taken nothing for 100 ms."""
    piece = b"x" * 65_536
    connection.settimeout(0.1)
    try:
        while True:
            connection.send(piece)
    except TimeoutError:
        pass


def test_a_clients_reset_reaches_an_idle_backend_at_once(stage: Stage) -> None:
    """Case 7: within 100 ms."""
    waiting: list[float] = []
    backend_peer = stage.add(Recorder())
    front = stage.front(backend_peer.address)
    for number in range(9):
        client = front.connect()
        eventually(lambda: backend_peer.accepted > number, "the backend has the connection")
        watch = Stopwatch()
        reset(client)
        assert backend_peer.ended(number).end is End.RESET
        waiting.append(watch.seconds)
    assert statistics.median(waiting) < 0.1, f"seconds until the backend saw it: {waiting}"


@pytest.mark.parametrize("end, expected", [(reset, End.RESET), (finish, End.FINISHED)], ids=["reset", "finish"])
@pytest.mark.parametrize("speaker", ["client", "backend"])
def test_an_end_that_comes_together_with_bytes_is_seen(
    stage: Stage, speaker: str, end: Callable[[socket.socket], None], expected: End
) -> None:
    """Both are there before shuttled looks. The rare case in which the kernel forgets one of them: test_missed_resets."""
    accepted: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
    over = threading.Event()

    def keep(connection: socket.socket) -> None:
        accepted.put(connection)
        over.wait(60)

    front = stage.front(stage.add(Scripted(keep)).address)
    try:
        for _ in range(5):
            client = front.connect()
            client.sendall(b"?")
            behind = accepted.get(timeout=10)
            behind.settimeout(10)
            assert read_exactly(behind, 1) == b"?"
            behind.sendall(b"!")
            assert read_exactly(client, 1) == b"!"
            source, sink = (client, behind) if speaker == "client" else (behind, client)
            with front.shuttled.stopped():
                source.sendall(b"bye")
                end(source)
            watch = Stopwatch()
            stream = read_to_end(sink)
            assert (stream.data, stream.end) == (b"bye", expected)
            assert watch.seconds < 1
            client.close()
    finally:
        over.set()


def test_a_reply_arrives_although_the_backend_closes_without_reading(stage: Stage) -> None:
    """Case 8: closing with unread data makes the kernel send a reset, which must not take the reply with it.

    The reply fits into the first window, so that all of it has left the backend's kernel before the reset does.
    """
    reply = random_bytes("reply", 30_000)

    def reply_and_close_unread(connection: socket.socket) -> None:
        connection.recv(1)  # the request has begun to arrive; the rest stays unread
        connection.sendall(reply)

    front = stage.front(stage.add(Scripted(reply_and_close_unread)).address)
    for _ in range(20):
        client = front.connect()
        with background(lambda: client.sendall(b"r" * 50_000)):
            stream = read_to_end(client)
        same_prefix(stream.data, reply)
        assert len(stream.data) == len(reply), f"{stream}: {len(reply)} bytes were sent before the close"
        client.close()
