"""Backends that refuse, hang or are missing, and machines that run out: cases 16 to 21 of the list in docs/tests.md."""

from __future__ import annotations

import socket
import statistics
import threading
import time

import pytest

from harness import netns
from harness.peers import Blackhole, Echo, Flood, Named, Refusing, Scripted, Sink
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage, read_line
from harness.streams import End, connect, echoes, finish, read_exactly, read_to_end, unacknowledged_bytes
from harness.wait import Stopwatch, eventually, settled, throughout

#: What a busy machine may add to a timeout before a test calls it late.
GRACE_SECONDS = 0.25


# Backends that do not answer


def test_a_refused_connect_goes_to_the_next_backend(stage: Stage) -> None:
    """Case 16: the client sees one connection, served; the refusals are counted at the backend that refused."""
    address = free_address()
    refusing, good = stage.add(Refusing()), stage.add(Named("good"))
    backends = [backend("bad", refusing.address), backend("good", good.address)]
    shuttled = stage.shuttled([service("web", address, backends, passive={"failures": 0})])
    count = 40
    assert [stage.name_at(address) for _ in range(count)] == ["good"] * count
    shuttled.wait_idle()
    entry = shuttled.admin.service("web")
    bad, served = entry["backends"]
    assert good.accepted == count
    assert (entry["connections"], served["connections"], bad["connections"]) == (count, count, 0)
    assert bad["errors"] == count // 2, "round robin tries it every other time"
    assert (served["errors"], entry["errors"]) == (0, bad["errors"])


def test_two_backends_may_refuse_and_a_third_serves(stage: Stage) -> None:
    """Case 16: two further backends are tried."""
    address = free_address()
    backends = [backend(f"bad{i}", stage.add(Refusing()).address) for i in range(2)]
    stage.shuttled([service("web", address, [*backends, backend("good", stage.add(Named("good")).address)])])
    assert {stage.name_at(address) for _ in range(30)} == {"good"}


def test_a_connect_that_hangs_is_given_up_in_time_and_loses_nothing(stage: Stage) -> None:
    """Case 17: after `connect_timeout` the next backend is tried; what the client sent meanwhile arrives there."""
    address = free_address()
    hole, echo = stage.add(Blackhole()), stage.add(Echo())
    backends = [backend("hole", hole.address), backend("echo", echo.address)]
    shuttled = stage.shuttled([service("web", address, backends, connect_timeout=300, passive={"failures": 0})])
    waited = []
    for _ in range(10):
        watch = Stopwatch()
        client = stage.connect(address)
        client.sendall(b"said before anybody listened")
        finish(client)
        read_to_end(client).is_all_of(b"said before anybody listened")
        waited.append(watch.seconds)
    late = [seconds for seconds in waited if seconds > 0.2]
    assert len(late) == 5, f"every other connection goes to the hanging backend first: {waited}"
    assert min(late) >= 0.29, f"not before the timeout: {late}"
    assert statistics.median(late) < 0.35, f"within 50 ms of the timeout: {late}"
    shuttled.wait_idle()
    assert [b["errors"] for b in shuttled.admin.service("web")["backends"]] == [5, 0]


def test_a_client_is_closed_when_all_backends_refuse(stage: Stage) -> None:
    """Case 18: a clean end at once, counted."""
    address = free_address()
    backends = [backend(f"bad{i}", stage.add(Refusing()).address) for i in range(3)]
    shuttled = stage.shuttled([service("web", address, backends)])
    watch = Stopwatch()
    read_to_end(stage.connect(address)).is_all_of(b"")
    assert watch.seconds < GRACE_SECONDS
    shuttled.wait_idle()
    entry = shuttled.admin.service("web")
    assert [b["errors"] for b in entry["backends"]] == [1, 1, 1]
    assert entry["errors"] == 4, "three failed connects and one client that nobody served"
    assert entry["connections"] == 1


def test_a_client_is_closed_when_all_backends_hang(stage: Stage) -> None:
    """Case 18: after the timeout times the tries: the first and two further backends, and not the fourth."""
    address = free_address()
    holes = [stage.add(Blackhole()) for _ in range(4)]
    backends = [backend(f"hole{i}", hole.address) for i, hole in enumerate(holes)]
    shuttled = stage.shuttled([service("web", address, backends, connect_timeout=250)])
    watch = Stopwatch()
    read_to_end(stage.connect(address)).is_all_of(b"")
    assert 0.74 <= watch.seconds < 0.75 + GRACE_SECONDS
    shuttled.wait_idle()
    assert sum(b["errors"] for b in shuttled.admin.service("web")["backends"]) == 3


def test_a_client_that_leaves_during_the_connect_leaves_nothing_behind(stage: Stage) -> None:
    address = free_address()
    hole = stage.add(Blackhole())
    shuttled = stage.shuttled([service("web", address, [backend("hole", hole.address)], connect_timeout=1000)])
    clients = [stage.connect(address) for _ in range(20)]
    eventually(lambda: shuttled.admin.service("web")["active"] == 20, "all are connecting")
    for client in clients:
        client.close()
    shuttled.wait_idle(deadline=3)


# Running out


@pytest.mark.skipif(not netns.is_possible(), reason="a network namespace needs root")
def test_running_out_of_ports_is_not_the_backends_fault(stage: Stage) -> None:
    """Case 19: eight ports to connect from; the backend stays up and without errors, and all goes on afterwards."""
    ports = (21_000, 21_007)
    count = ports[1] - ports[0] + 1

    def scenario() -> None:
        stop = threading.Event()

        def greet(connection: socket.socket) -> None:
            connection.sendall(b"hello\n")
            stop.wait(30)  # the backend closes first, so that the ports are not held in TIME_WAIT on shuttled's side

        greeter = stage.add(Scripted(greet, "127.0.0.1:18000"))
        address = "127.0.0.1:18001"
        # Over a unix socket the tests' own requests need no port.
        http = str(stage.directory / "admin.sock")
        shuttled = stage.shuttled([service("web", address, [backend("b", greeter.address)])], http=http)
        # The clients' own ports are chosen here, outside of the range.
        clients = [connect(address, source=("127.0.0.2", 25_000 + i)) for i in range(count + 4)]
        eventually(lambda: greeter.accepted == count, "every port is in use")
        throughout(lambda: shuttled.admin.backend("web", "b")["up"], "the backend is up", 0.5)
        entry = shuttled.admin.backend("web", "b")
        assert (entry["errors"], entry["connections"]) == (0, count)

        stop.set()
        for client in clients:
            client.close()
        shuttled.wait_idle()
        stop.clear()

        def served_again() -> bool:
            with connect(address, source=("127.0.0.2", 26_000), timeout=2) as client:
                return client.recv(6) == b"hello\n"

        eventually(served_again, "connections are served again")
        stop.set()
        stage.close(failed=False)  # in here, since a process started by this thread ends with it

    with netns.NetworkNamespace(port_range=ports) as namespace:
        namespace.run(scenario)


@pytest.mark.time_limit(90)
def test_running_out_of_descriptors_makes_clients_wait(stage: Stage) -> None:
    """Case 20: no spin, no crash, the admin endpoint answers, and those who waited are served as others leave."""
    address = free_address()
    named = stage.add(Named("served"))
    shuttled = stage.shuttled([service("web", address, [backend("b", named.address)])], limits={"nofile": 256})
    clients = [stage.connect(address) for _ in range(400)]

    capacity = settled(lambda: named.accepted, "as many as there are descriptors for are served")
    assert 50 <= capacity < 128, f"{capacity} sessions of two descriptors each, out of 256 descriptors"

    cpu, watch = shuttled.view.cpu_seconds, Stopwatch()
    time.sleep(3)
    share = (shuttled.view.cpu_seconds - cpu) / watch.seconds
    assert share < 0.05, f"uses {share:.0%} of a core while it has nothing to do"
    for _ in range(20):
        assert shuttled.admin.get("/web").expect(200).json["active"] >= capacity
    shuttled.admin.change("/web/b", backend("b", named.address, weight=2))

    waiting = list(clients)
    served = 0
    while waiting:
        ready = [client for client in waiting if _has_input(client)]
        for client in ready:
            assert read_line(client) == "served"
            client.close()
            waiting.remove(client)
            served += 1
        if not ready:
            eventually(
                lambda: any(_has_input(client) for client in waiting), f"one of {len(waiting)} waiting is served"
            )
    assert served == len(clients)
    assert shuttled.admin.service("web")["errors"] == 0


def _has_input(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(10)


# Timeouts


@pytest.mark.parametrize("field", ["client_timeout", "server_timeout"])
def test_an_idle_session_is_closed_on_both_sides(stage: Stage, field: str) -> None:
    """Case 21: neither before its time nor long after it."""
    address = free_address()
    echo = stage.add(Echo())
    shuttled = stage.shuttled([service("web", address, [backend("b", echo.address)], **{field: 800})])
    client = stage.connect(address)
    for _ in range(4):
        assert echoes(client)
        time.sleep(0.3)  # shorter than the timeout: each of them starts it anew
    assert echoes(client)
    watch = Stopwatch()
    assert read_to_end(client).data == b""
    assert 0.75 <= watch.seconds <= 0.8 + GRACE_SECONDS * 2
    eventually(lambda: echo.open_connections == 0, "the backend's side is closed as well", 1)
    assert not shuttled.active()


@pytest.mark.parametrize("field", ["client_timeout", "server_timeout"])
@pytest.mark.parametrize("speaker", ["client", "backend"])
def test_bytes_either_way_keep_a_session_alive(stage: Stage, field: str, speaker: str) -> None:
    """Case 21: the inactivity of a socket is measured, not of a direction."""
    address = free_address()
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        while not stop.wait(0.2):
            connection.sendall(b".")

    def listen(connection: socket.socket) -> None:
        while connection.recv(100):
            pass

    peer = stage.add(Scripted(talk if speaker == "backend" else listen))
    stage.shuttled([service("web", address, [backend("b", peer.address)], **{field: 700})])
    client = stage.connect(address)
    try:
        for _ in range(12):
            if speaker == "client":
                client.sendall(b".")
                time.sleep(0.2)
            else:
                assert client.recv(1) == b"."
    finally:
        stop.set()
    finish(client)
    assert read_to_end(client).end is End.FINISHED


def test_without_a_timeout_an_idle_session_lives(stage: Stage) -> None:
    address = free_address()
    stage.shuttled([service("web", address, [backend("b", stage.add(Echo()).address)])])
    client = stage.connect(address)
    assert echoes(client)
    client.settimeout(2.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(10)
    assert echoes(client)


def test_output_that_makes_no_progress_is_cut_in_time(stage: Stage) -> None:
    """Case 21: the client has stopped reading; that the backend goes on writing does not keep the session alive.

    The kernel is asked once per timeout whether its queue moved, so that a stall is noticed within two of them.
    """
    address = free_address()
    flood = stage.add(Flood())
    shuttled = stage.shuttled([service("web", address, [backend("b", flood.address)], client_timeout=1000)])
    stage.connect(address, receive_buffer=16_384)
    flood.stalled()  # and half a second has passed since
    watch = Stopwatch()
    eventually(lambda: flood.open_connections == 0, "the backend's side is closed")
    assert watch.seconds < 1.5 + GRACE_SECONDS
    shuttled.wait_idle(2)


def test_a_backend_that_takes_nothing_is_cut_in_time(stage: Stage) -> None:
    """Case 21, the other way round: `server_timeout` while output to the backend is pending."""
    address = free_address()
    sink = stage.add(Sink())
    shuttled = stage.shuttled([service("web", address, [backend("b", sink.address)], server_timeout=1000)])
    client = stage.connect(address)
    client.settimeout(0.4)
    with pytest.raises(TimeoutError):
        while True:
            client.send(b"x" * 65_536)
    assert unacknowledged_bytes(client) > 0
    watch = Stopwatch()
    client.settimeout(10)
    read_to_end(client)
    assert watch.seconds < 2.0 + GRACE_SECONDS
    shuttled.wait_idle(2)


def test_slow_progress_inside_one_large_send_is_progress(stage: Stage) -> None:
    """Case 21: a reader that is slower than the send is large is not cut, although no send completes for long.

    Its kernel opens the window anew for every half of its buffer, several times within each timeout.
    """
    address = free_address()
    flood = stage.add(Flood())
    stage.shuttled([service("web", address, [backend("b", flood.address)], client_timeout=1500)])
    client = stage.connect(address, receive_buffer=32_768)
    watch = Stopwatch()
    while watch.seconds < 6:
        read_exactly(client, 16_384)
        time.sleep(0.1)
    assert flood.open_connections == 1
