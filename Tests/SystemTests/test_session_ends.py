"""When shuttled itself ends sessions, and what it tells the kernel about silent peers: half-close, the first end, age,
keepalive and user timeout, drains.

Inactivity is in `test_connect.py`; ends and resets that peers make are in `test_relay.py`.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Any

import pytest

from harness.peers import Echo, Named, Recorder, Scripted
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.sockets import sockets
from harness.stage import Stage, read_line
from harness.streams import End, connect, echoes, finish, read_exactly, read_to_end
from harness.wait import Stopwatch, eventually, throughout


def front(stage: Stage, to: str, **fields: Any) -> tuple[Shuttled, str]:
    address = free_address()
    return stage.shuttled([service("web", address, [backend("b", to)], **fields)]), address


def ended(shuttled: Shuttled) -> dict[str, int]:
    statistics = shuttled.admin.service("web")
    assert statistics["ended"] == statistics["backends"][0]["ended"], "there is one backend"
    return {reason: count for reason, count in statistics["ended"].items() if count}


def silent(connection: socket.socket) -> None:
    """Reads what comes and never says or ends anything by itself, not even after the other side's end."""
    while True:
        try:
            if not connection.recv(65_536):
                break
        except TimeoutError:
            return
    time.sleep(3)


# Half-close


def test_what_remains_of_a_half_closed_session_may_not_rest(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Scripted(silent)).address, half_close_timeout=400)
    client = stage.connect(address)
    client.sendall(b"request")
    finish(client)
    watch = Stopwatch()
    assert read_to_end(client).end is End.FINISHED, "nothing was owed to it"
    assert 0.35 < watch.seconds < 2, watch.seconds
    eventually(lambda: ended(shuttled) == {"half_close": 1}, "it is counted by its reason")


def test_what_remains_may_go_on_for_longer_than_the_timeout(stage: Stage) -> None:
    def trickle(connection: socket.socket) -> None:
        assert read_to_end(connection).end is End.FINISHED
        for _ in range(8):
            time.sleep(0.25)
            connection.sendall(b"x")

    shuttled, address = front(stage, stage.add(Scripted(trickle)).address, half_close_timeout=1000)
    client = stage.connect(address)
    finish(client)
    read_to_end(client).is_all_of(b"x" * 8)
    shuttled.wait_idle()
    assert ended(shuttled) == {}


def test_without_half_close_the_first_end_closes_both_sides(stage: Stage) -> None:
    recorder = stage.add(Recorder())
    shuttled, address = front(stage, recorder.address, half_close=False)
    client = stage.connect(address)
    data = b"0123456789" * 50_000
    client.sendall(data)
    finish(client)
    recorder.ended().is_all_of(data)
    assert read_to_end(client).end is End.FINISHED
    shuttled.wait_idle()


def test_without_half_close_a_talking_side_loses_nothing_of_what_came_before(stage: Stage) -> None:
    """The backend ends while the client floods: the client's bytes are not waited for, the backend's all arrive."""
    data = b"0123456789" * 100_000

    def answer_and_end(connection: socket.socket) -> None:
        read_exactly(connection, 1)
        connection.sendall(data)
        finish(connection)
        read_to_end(connection)

    shuttled, address = front(stage, stage.add(Scripted(answer_and_end)).address, half_close=False)
    client = stage.connect(address)
    client.sendall(b"x" * 200_000)
    answer = b""
    try:
        while piece := client.recv(65_536):
            answer += piece
            client.send(b"y")
    except (ConnectionResetError, BrokenPipeError):
        # What it says after the end is answered by a reset.
        while True:
            try:
                piece = client.recv(65_536)
            except OSError:
                break
            if not piece:
                break
            answer += piece
    assert answer == data
    shuttled.wait_idle()


def test_half_close_is_the_default(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address)
    client = stage.connect(address)
    client.sendall(b"all of it")
    finish(client)
    read_to_end(client).is_all_of(b"all of it")
    assert "half_close" not in shuttled.admin.config()[0]


# Age


@pytest.mark.time_limit(60)
def test_sessions_end_at_their_age_however_busy(stage: Stage) -> None:
    shuttled, address = front(
        stage, stage.add(Echo()).address, max_lifetime=1000, max_lifetime_jitter=100
    )
    watch = Stopwatch()
    clients = [stage.connect(address) for _ in range(20)]
    ages: list[float] = []
    while clients:
        for client in list(clients):
            try:
                client.sendall(b"x")
                is_over = client.recv(1) == b""
            except (ConnectionResetError, BrokenPipeError):
                is_over = True
            if is_over:
                ages.append(watch.seconds)
                clients.remove(client)
        assert watch.seconds < 10, f"{len(clients)} live on"
        time.sleep(0.01)
    assert min(ages) > 0.9 and max(ages) < 3, ages
    assert max(ages) - min(ages) > 0.3, f"they end apart: {ages}"
    eventually(lambda: ended(shuttled) == {"lifetime": 20}, "they are counted by the reason")


def test_a_changed_limit_is_for_new_sessions(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address)
    old = stage.connect(address)
    assert echoes(old)
    configuration = shuttled.admin.config()[0]
    shuttled.admin.put("/web", {**configuration, "max_lifetime": 300}).expect(200)
    watch = Stopwatch()
    new = stage.connect(address)
    assert read_to_end(new).end is End.FINISHED
    assert 0.25 < watch.seconds < 2
    assert echoes(old)


# What the kernel does about silent peers


def options(one: socket.socket) -> tuple[int, int, int, int, int]:
    return (
        one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    )


def test_keepalive_and_user_timeout_are_set_on_both_sides(stage: Stage) -> None:
    echo = stage.add(Echo())
    shuttled, address = front(
        stage, echo.address, keepalive={"idle": 2000, "interval": 3000, "count": 4}, user_timeout=5678
    )
    client = stage.connect(address)
    assert echoes(client)
    assert shuttled.process is not None
    peers = {client.getsockname(), ("127.0.0.1", echo.port)}
    with sockets(shuttled.process.pid, peers) as both:
        assert len(both) == 2
        # Bytes may stay unacknowledged from the first one on; probes are needed after a second at the latest.
        assert [options(one)[4] for one in both] == [5678, 5678]
        eventually(lambda: all(options(one) == (1, 2, 3, 4, 5678) for one in both), "both get their keepalive", 5)


def test_changed_probes_are_for_new_sessions_and_0_means_none(stage: Stage) -> None:
    echo = stage.add(Echo())
    shuttled, address = front(stage, echo.address, keepalive={"idle": 0, "interval": 1000, "count": 1})
    assert shuttled.process is not None
    old = stage.connect(address)
    assert echoes(old)
    configuration = shuttled.admin.config()[0]
    assert configuration["keepalive"] == {"idle": 0, "interval": 1000, "count": 1}
    changed = {**configuration, "keepalive": {"idle": 1000, "interval": 1000, "count": 1}}
    shuttled.admin.put("/web", changed).expect(200)
    new = stage.connect(address)
    assert echoes(new)
    with sockets(shuttled.process.pid, {old.getsockname(), new.getsockname()}) as both:
        by_peer = {one.getpeername(): one for one in both}
        eventually(lambda: options(by_peer[new.getsockname()])[0] == 1, "the new one is probed", 5)
        assert options(by_peer[old.getsockname()])[0] == 0
        assert options(by_peer[old.getsockname()])[4] == 0


def test_a_part_of_a_second_is_refused_with_the_remedy(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address)
    refused = {"address": address, "keepalive": {"idle": 1500}}
    problem = shuttled.admin.put("/web", refused).problem(400)
    problem.points_to("/keepalive/idle").says("whole seconds", "1000 or 2000")
    with connect(address) as client:
        assert echoes(client), "nothing has changed"


# Drains


def draining_front(stage: Stage, period: int) -> tuple[Shuttled, str, dict[str, Any]]:
    address = free_address()
    backends = [backend("one", stage.add(Named("one")).address), backend("two", stage.add(Named("two")).address)]
    configuration = service("web", address, backends, drain_timeout=period)
    return stage.shuttled([configuration]), address, configuration


def named_sessions(stage: Stage, address: str, count: int) -> dict[str, list[socket.socket]]:
    sessions: dict[str, list[socket.socket]] = {"one": [], "two": []}
    for _ in range(count):
        client = stage.connect(address)
        sessions[read_line(client)].append(client)
    return sessions


def seconds_to_ends(clients: list[socket.socket], limit: float) -> list[float]:
    """How long after now each of them was ended by a FIN; those that were not within `limit` are left out."""
    watch = Stopwatch()
    ends: list[float] = []
    left = set(clients)
    while left and watch.seconds < limit:
        readable, _, _ = select.select(list(left), [], [], 0.05)
        for client in readable:
            assert client.recv(100) == b"", "it is quiet until it ends"
            ends.append(watch.seconds)
            left.discard(client)
    return sorted(ends)


def test_the_sessions_of_a_removed_backend_end_gradually(stage: Stage) -> None:
    shuttled, address, _ = draining_front(stage, 3000)
    sessions = named_sessions(stage, address, 60)
    shuttled.admin.delete("/web/one").expect(200)
    assert shuttled.admin.service("web")["draining"] > 20
    assert {stage.name_at(address) for _ in range(10)} == {"two"}, "nothing new gets there"

    ends = seconds_to_ends(sessions["one"], 6)
    assert len(ends) == len(sessions["one"]) == 30
    assert ends[-1] < 3.5, ends
    thirds = [sum(third <= end < third + 1 for end in ends) for third in range(3)]
    assert min(thirds) >= 3 and max(thirds) <= 20, f"spread over the period, {thirds}: {ends}"
    assert all(echoes(client) for client in sessions["two"])
    statistics = shuttled.admin.service("web")
    assert statistics["draining"] == 0 and statistics["ended"]["drain"] == 30


def test_a_drain_can_be_taken_back(stage: Stage) -> None:
    shuttled, address, configuration = draining_front(stage, 4000)
    sessions = named_sessions(stage, address, 60)
    one = configuration["backends"][0]
    shuttled.admin.put("/web/one", {**one, "state": "drain"}).expect(200)
    eventually(lambda: shuttled.admin.backend("web", "one")["ended"]["drain"] >= 5, "some have ended")
    shuttled.admin.put("/web/one", one).expect(200)
    statistics = shuttled.admin.backend("web", "one")
    assert statistics["draining"] == 0 and 0 < statistics["active"] < 30
    left = statistics["active"]
    throughout(lambda: shuttled.admin.backend("web", "one")["active"] == left, "the others live on", 4.5)
    alive = 0
    for client in sessions["one"]:
        try:
            alive += echoes(client)
        except (AssertionError, OSError):
            continue
    assert alive == left
    assert {stage.name_at(address) for _ in range(10)} == {"one", "two"}


def test_the_sessions_of_a_removed_service_end_within_its_timeout(stage: Stage) -> None:
    shuttled, address, _ = draining_front(stage, 1500)
    sessions = named_sessions(stage, address, 40)
    shuttled.admin.delete("/web").expect(200)
    ends = seconds_to_ends(sessions["one"] + sessions["two"], 4)
    assert len(ends) == 40 and ends[-1] < 2.2, ends
    assert sum(end < 0.75 for end in ends) >= 5 and sum(end >= 0.75 for end in ends) >= 5, ends


def test_a_drain_without_a_timeout_ends_nobody_and_one_set_later_is_in_time(stage: Stage) -> None:
    shuttled, address, configuration = draining_front(stage, 0)
    sessions = named_sessions(stage, address, 20)
    backends = [{**configuration["backends"][0], "state": "maintenance"}, configuration["backends"][1]]
    shuttled.admin.put("/web", {**configuration, "backends": backends}).expect(200)
    assert shuttled.admin.backend("web", "one")["draining"] == 0
    assert all(echoes(client) for client in sessions["one"])
    shuttled.admin.put("/web", {**configuration, "backends": backends, "drain_timeout": 500}).expect(200)
    assert len(seconds_to_ends(sessions["one"], 3)) == 10
    assert all(echoes(client) for client in sessions["two"])
