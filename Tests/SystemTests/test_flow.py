"""Amounts, speeds and sizes on their way through: cases 9 and 11 to 13 of the list in docs/tests.md.

Whoever does not read holds back whoever writes, at a bounded cost, and nobody else; every size arrives as it was sent.
Ends and resets are in `test_relay.py`.
"""

from __future__ import annotations

import hashlib
import random
import socket
import statistics
import threading

import pytest

from harness.load import FloodProcess
from harness.peers import Echo, Flood, Scripted, Sink, reply_after_eof
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage
from harness.streams import (
    Stream,
    background,
    connect,
    echoes,
    exchange,
    finish,
    random_bytes,
    random_pieces,
    read_to_end,
    reset,
)
from harness.wait import Stopwatch, eventually, settled, throughout

MIB = 1024 * 1024
#: What the engine holds for one direction of one session at most, and what it may have besides.
HIGH_WATER_BYTES = 256 * 1024
OTHER_MEMORY_BYTES = 96 * MIB

# Backpressure


@pytest.mark.time_limit(120)
def test_a_thousand_readers_that_never_read_cost_bounded_memory_and_harm_nobody(stage: Stage) -> None:
    """Case 9: the backend floods them all; memory stays below the pool and a high-water mark for each."""
    sessions = 1000
    flood = stage.add(FloodProcess(send_buffer=32_768))
    echo = stage.add(Echo())
    flooded, lively = free_address(), free_address()
    shuttled = stage.shuttled(
        [
            service("flood", flooded, [backend("f", flood.address)]),
            service("echo", lively, [backend("e", echo.address)]),
        ]
    )
    bystander = stage.connect(lively)
    assert echoes(bystander)
    before = shuttled.view.resident_bytes
    for _ in range(sessions):
        stage.connect(flooded, receive_buffer=4096)

    eventually(lambda: shuttled.admin.service("flood")["active"] == sessions, "all sessions are there", 30)
    settled(lambda: shuttled.admin.service("flood")["received"], "nothing more is taken from the backend")

    grown = shuttled.view.resident_bytes - before
    assert grown < sessions * HIGH_WATER_BYTES + OTHER_MEMORY_BYTES, f"grew by {grown // MIB} MiB"
    trips = []
    for _ in range(200):
        watch = Stopwatch()
        assert echoes(bystander)
        trips.append(watch.seconds)
    assert statistics.median(trips) < 0.05, f"a session beside them: median round trip {statistics.median(trips)} s"
    assert all(echoes(stage.connect(lively)) for _ in range(20)), "and new ones are served"


def test_a_reader_that_resumes_gets_everything(stage: Stage) -> None:
    """Case 11: 50 MiB, and the client begins to read only when nothing has moved for a while."""
    data = random_bytes("fifty", 50 * MIB)

    def send_all(connection: socket.socket) -> None:
        connection.sendall(data)

    front = stage.front(stage.add(Scripted(send_all)).address)
    client = front.connect(receive_buffer=65_536)

    def received() -> int:
        return front.shuttled.admin.service("web")["received"]

    held_back_at = settled(received, "the flow is held back", seconds=1.0)
    throughout(lambda: received() == held_back_at, "it stays held back", 1.0)
    assert held_back_at < len(data)

    read_to_end(client).is_all_of(data)


def test_a_writer_is_held_back_by_a_backend_that_does_not_read(stage: Stage) -> None:
    """Case 11, the other way round: the client is held back, and what it wrote arrives when the backend reads again."""
    data = random_bytes("held", 24 * MIB)
    sink = stage.add(Sink())
    front = stage.front(sink.address)
    client = front.connect()

    def write() -> None:
        client.sendall(data)
        finish(client)

    with background(write):
        sent = settled(lambda: front.shuttled.admin.service("web")["sent"], "the flow is held back")
        assert sent < len(data)
        sink.release.set()
    eventually(lambda: sink.streams, "the backend reads to the end", 30)
    sink.streams[0].is_all_of(data)


# Sizes


@pytest.mark.time_limit(120)
def test_small_writes_progress_beside_a_bulk_transfer_on_the_same_ring(stage: Stage) -> None:
    """Case 12, smaller: 256 MiB in bulk and single bytes, on one ring; both are right, and neither starves."""
    count = 256
    block = random_bytes("bulk", MIB)
    finished = threading.Event()

    def send_bulk(connection: socket.socket) -> None:
        for number in range(count):
            connection.sendall(block[number:] + block[:number])

    bulk_address, small_address = free_address(), free_address()
    bulk, echo = stage.add(Scripted(send_bulk)), stage.add(Echo())
    stage.shuttled(
        [
            service("bulk", bulk_address, [backend("b", bulk.address)]),
            service("small", small_address, [backend("e", echo.address)]),
        ],
        rings=1,
    )
    small = stage.connect(small_address)
    trips: list[float] = []

    def read_bulk() -> None:
        expected, received = hashlib.sha256(), hashlib.sha256()
        for number in range(count):
            expected.update(block[number:] + block[:number])
        stream = stage.connect(bulk_address)
        while data := stream.recv(262_144):
            received.update(data)
        finished.set()
        assert received.digest() == expected.digest(), "the bulk transfer is not what was sent"

    with background(read_bulk):
        while not finished.is_set():
            watch = Stopwatch()
            assert echoes(small, b"1")
            trips.append(watch.seconds)
    assert len(trips) > 50, "single bytes progressed while the bulk went on"
    assert statistics.median(trips) < 0.1, f"median round trip beside the bulk: {statistics.median(trips)} s"

    ones = random_bytes("single bytes", 100_000)
    exchange(small, ones, (ones[i : i + 1] for i in range(len(ones)))).is_all_of(ones)


BUFFER_SIZES = [1024, 4096, 16_384, 32_768, 65_536, HIGH_WATER_BYTES, 2 * HIGH_WATER_BYTES]
EDGE_SIZES = sorted({0, 1, 2, *(size + off for size in BUFFER_SIZES for off in (-1, 0, 1))})


def test_every_size_around_a_buffers_edge_goes_through(stage: Stage) -> None:
    """Case 13: messages of 0, 1, and one less, exactly and one more than every buffer and mark; a session for each."""
    front = stage.front(stage.add(Echo()).address)
    for size in EDGE_SIZES:
        data = random_bytes(size, size)
        exchange(front.connect(), data).is_all_of(data)


@pytest.mark.parametrize("seed", range(4))
def test_streams_cut_at_random_places_go_through(stage: Stage, seed: int) -> None:
    """Case 13, seeded: edge-sized and random writes one after the other on a few sessions at once."""
    front = stage.front(stage.add(Echo()).address)
    source = random.Random(seed)
    failures: list[str] = []

    def run(number: int) -> None:
        own = random.Random(f"{seed}/{number}")
        data = own.randbytes(own.randint(1, 4 * MIB))
        longest = own.choice(EDGE_SIZES[2:])
        try:
            with connect(front.address) as client:
                exchange(client, data, random_pieces(data, own, longest)).is_all_of(data)
        except (AssertionError, OSError) as error:
            failures.append(f"seed {seed}, session {number}, {len(data)} bytes in writes of up to {longest}: {error}")

    threads = [threading.Thread(target=run, args=(source.randrange(1 << 30),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures[0]


def test_bytes_are_counted_once_in_each_direction(stage: Stage) -> None:
    """Service and backend count what was sent on: `sent` towards the backend, `received` towards the client."""
    reply = random_bytes("reply", 123_457)
    received: list[Stream] = []
    front = stage.front(stage.add(Scripted(reply_after_eof(reply, 0, received))).address)
    sizes = [0, 1, 16_384, 1_000_003]
    for size in sizes:
        exchange(front.connect(), random_bytes(size, size)).is_all_of(reply)
    front.shuttled.wait_idle()
    entry = front.shuttled.admin.service("web")
    for counted in (entry, entry["backends"][0]):
        assert (counted["sent"], counted["received"]) == (sum(sizes), len(sizes) * len(reply))
        assert (counted["connections"], counted["active"], counted["errors"]) == (len(sizes), 0, 0)


def test_a_flood_is_held_back_while_the_other_direction_flows(stage: Stage) -> None:
    """A client that does not read may still write: the directions do not wait for each other."""
    flood = Flood()
    taken = 0

    def flood_and_read(connection: socket.socket) -> None:
        nonlocal taken
        with background(lambda: Flood.handle(flood, connection)):
            connection.settimeout(0.05)
            while not flood.closing.is_set():
                try:
                    data = connection.recv(65_536)
                except TimeoutError:
                    continue
                if not data:
                    break
                taken += len(data)
            flood.closing.set()

    stage.add(flood)
    front = stage.front(stage.add(Scripted(flood_and_read)).address)
    client = front.connect(receive_buffer=16_384)
    flood.stalled()
    client.sendall(b"u" * (4 * MIB))
    eventually(lambda: taken == 4 * MIB, "what the client writes arrives")
    flood.closing.set()
    reset(client)
