"""Limits on connections, the queue, and maintenance: what the backends themselves count, with real sockets."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest

from harness.counting import REPLY, Counting, Crowd
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import End, connect, finish, read_exactly, read_to_end, reset
from harness.wait import Stopwatch, eventually, throughout

RINGS = 8


class Limited:
    """A service with limits in front of one backend that counts."""

    def __init__(self, stage: Stage, hold: float = 0.0, rings: int = 2, address: str = "", **fields: Any) -> None:
        self.stage = stage
        self.address = address or free_address()
        self.peer = stage.add(Counting(hold))
        self.fields = fields
        self.shuttled: Shuttled = stage.shuttled([self.configuration()], rings=rings)

    def configuration(self, **changes: Any) -> dict[str, Any]:
        return service("web", self.address, [backend("one", self.peer.address)], **{**self.fields, **changes})

    def change(self, **changes: Any) -> None:
        self.fields.update(changes)
        self.shuttled.admin.change("/web", self.configuration())

    def statistic(self, name: str) -> int:
        return int(self.shuttled.admin.service("web")[name])

    def wait_queued(self, count: int) -> None:
        eventually(lambda: self.statistic("queued") == count, f"{count} clients are queued")

    def come(self, line: bytes = b"hello", address: str = "", **options: Any) -> socket.socket:
        client = self.stage.connect(address or self.address, **options)
        client.sendall(line + b"\n")
        return client

    def served(self, line: bytes = b"hello", **options: Any) -> socket.socket:
        """A client that has its place."""
        client = self.come(line, **options)
        assert read_exactly(client, len(REPLY)) == REPLY
        return client


# Exactness


def test_a_limit_of_the_service_is_exact_over_all_rings(stage: Stage) -> None:
    """Eight rings, a thousand clients at once, ten places: all are served, and the backend never sees eleven."""
    web = Limited(stage, hold=0.01, rings=RINGS, max_connections=10, queue_limit=1000)
    crowd = Crowd(web.address, 1000)
    assert crowd.served == 1000, crowd.outcomes
    assert web.peer.most == 10 and web.peer.accepted == 1000
    web.shuttled.wait_idle()
    assert [web.statistic(name) for name in ("refused", "queue_timeouts", "queue_overflows", "errors")] == [0, 0, 0, 0]


def test_limits_of_backends_are_exact_over_all_rings(stage: Stage) -> None:
    """Who finds one backend full gets the other; who finds both full waits for whichever is free first."""
    address = free_address()
    peers = [stage.add(Counting(0.01)) for _ in range(2)]
    limits = [3, 5]
    backends = [backend(f"b{i}", peer.address, max_connections=limits[i]) for i, peer in enumerate(peers)]
    shuttled = stage.shuttled([service("web", address, backends, queue_limit=1000)], rings=RINGS)
    crowd = Crowd(address, 1000)
    assert crowd.served == 1000, crowd.outcomes
    assert [peer.most for peer in peers] == limits
    shuttled.wait_idle()
    assert [b["connections"] for b in shuttled.admin.service("web")["backends"]] == [peer.accepted for peer in peers]


def test_without_a_queue_those_beyond_the_limit_are_closed_at_once(stage: Stage) -> None:
    web = Limited(stage, hold=1.0, rings=RINGS, max_connections=5)
    places = [web.come() for _ in range(5)]
    eventually(lambda: web.peer.open_connections == 5, "all places are taken")
    crowd = Crowd(web.address, 200, speaks=False)
    assert crowd.outcomes == {(b"", End.FINISHED): 200}
    assert web.statistic("refused") == 200 and web.peer.accepted == 5
    for client in places:
        assert read_exactly(client, len(REPLY)) == REPLY
        client.close()
    web.shuttled.wait_idle()
    web.served()


def test_a_full_queue_closes_cleanly_and_is_counted(stage: Stage) -> None:
    web = Limited(stage, rings=4, max_connections=1, queue_limit=20)
    first = web.served()
    waiting = [web.come() for _ in range(20)]
    web.wait_queued(20)
    crowd = Crowd(web.address, 100, speaks=False)
    assert crowd.outcomes == {(b"", End.FINISHED): 100}
    assert web.statistic("queue_overflows") == 100 and web.statistic("queued") == 20
    first.close()
    while waiting:
        # Each place is given on when the one before it has been left. Who came first is for the rings to say, where clients
        # come at the same time.
        served, _, _ = select.select(waiting, [], [], 20)
        assert len(served) == 1 and read_exactly(served[0], len(REPLY)) == REPLY
        waiting.remove(served[0])
        served[0].close()
    assert web.peer.most == 1 and web.peer.accepted == 21


# The queue


def test_the_queue_is_first_come_first_served_over_all_rings(stage: Stage) -> None:
    web = Limited(stage, rings=RINGS, max_connections=1, queue_limit=100)
    first = web.served(b"first")
    waiting = []
    for number in range(40):
        waiting.append(web.come(b"%d" % number))
        web.wait_queued(number + 1)
    first.close()
    for client in waiting:
        assert read_exactly(client, len(REPLY)) == REPLY
        client.close()
    assert web.peer.order == [b"first", *(b"%d" % number for number in range(40))]


def test_a_client_whose_time_is_over_is_closed_cleanly(stage: Stage) -> None:
    web = Limited(stage, max_connections=1, queue_limit=10, queue_timeout=400)
    web.served()
    watch = Stopwatch()
    waiting = [web.come() for _ in range(3)]
    for client in waiting:
        read_to_end(client).is_all_of(b"")
    assert 0.35 < watch.seconds < 5
    assert web.statistic("queue_timeouts") == 3 and web.statistic("queued") == 0
    assert web.statistic("active") == 1 and web.peer.accepted == 1


def test_what_a_waiting_client_says_is_delivered_and_a_half_closed_one_still_waits(stage: Stage) -> None:
    web = Limited(stage, max_connections=1, queue_limit=10)
    first = web.served()
    waiting = web.come(b"a request")
    finish(waiting)
    web.wait_queued(1)
    throughout(lambda: web.statistic("queued") == 1, "it waits on", 0.3)
    first.close()
    eventually(lambda: b"a request" in web.peer.order, "the request arrives")


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_leaves_the_queue_frees_its_place(stage: Stage, way: str) -> None:
    web = Limited(stage, max_connections=1, queue_limit=1)
    first = web.served()
    leaver = connect(web.address)
    web.wait_queued(1)
    if way == "reset":
        reset(leaver)
    leaver.close()
    web.wait_queued(0)
    waiting = web.come(b"next")
    web.wait_queued(1)
    first.close()
    assert read_exactly(waiting, len(REPLY)) == REPLY
    assert web.peer.accepted == 2 and web.statistic("queue_overflows") == 0


def test_a_raised_limit_serves_the_queue_at_once(stage: Stage) -> None:
    web = Limited(stage, rings=4, max_connections=1, queue_limit=10)
    first = web.served()
    waiting = [web.come() for _ in range(6)]
    web.wait_queued(6)
    web.change(max_connections=4)
    eventually(lambda: web.peer.open_connections == 4, "three more have their places")
    web.wait_queued(3)
    del web.fields["max_connections"], web.fields["queue_limit"]
    web.change()
    # All of them are there at once.
    for client in waiting:
        assert read_exactly(client, len(REPLY)) == REPLY
    for client in [first, *waiting]:
        client.close()
    assert web.peer.most == 7


def test_a_new_backend_serves_the_queue_at_once(stage: Stage) -> None:
    address = free_address()
    peers = [stage.add(Counting()) for _ in range(2)]
    backends = [backend(f"b{i}", peer.address, max_connections=2) for i, peer in enumerate(peers)]
    shuttled = stage.shuttled([service("web", address, backends[:1], queue_limit=10)], rings=4)
    clients = [stage.connect(address) for _ in range(4)]
    for client in clients:
        client.sendall(b"hello\n")
    eventually(lambda: shuttled.admin.service("web")["queued"] == 2, "two wait")
    shuttled.admin.change("/web/b1", backends[1])
    for client in clients:
        assert read_exactly(client, len(REPLY)) == REPLY
    assert [peer.most for peer in peers] == [2, 2]


def test_a_deleted_service_takes_its_queue_along_and_its_sessions_run_on(stage: Stage) -> None:
    web = Limited(stage, rings=4, max_connections=1, queue_limit=10)
    first = web.served()
    waiting = [web.come() for _ in range(5)]
    web.wait_queued(5)
    web.shuttled.admin.remove("/web")
    for client in waiting:
        read_to_end(client).is_all_of(b"")
    first.sendall(b"still there\n")
    assert read_exactly(first, len(REPLY)) == REPLY


def test_a_drain_serves_those_who_wait_and_ends_in_time(stage: Stage) -> None:
    web = Limited(stage, rings=4, max_connections=1, queue_limit=10)
    first = web.served()
    waiting = [web.come(b"%d" % number) for number in range(3)]
    web.wait_queued(3)
    web.shuttled.signal(15)
    first.close()
    assert read_exactly(waiting[0], len(REPLY)) == REPLY, "who waits is served while it drains"
    # The others wait in vain: the first in line keeps its place until the deadline cuts it.
    assert web.shuttled.exit_code() == 0


# Clients


def test_each_client_address_has_its_share(stage: Stage) -> None:
    """IPv4 reaches a listener of both families in the mapped form; ports make no difference."""
    port = free_address().rpartition(":")[2]
    web = Limited(stage, rings=4, address=f":{port}", max_connections_per_client=2)
    addresses = [f"127.0.0.1:{port}", f"[::1]:{port}"]
    held = [web.served(address=address) for address in addresses for _ in range(2)]
    held += [web.served(address=addresses[0], source=("127.0.0.2", 0))]
    for address in addresses:
        refused = stage.connect(address)
        read_to_end(refused).is_all_of(b"")
    assert web.statistic("refused_per_client") == 2 and web.statistic("active") == 5
    held[0].close()
    eventually(lambda: web.statistic("active") == 4, "one has left")
    held[0] = web.served(address=addresses[0])
    read_to_end(stage.connect(addresses[0])).is_all_of(b"")


def test_the_share_of_a_client_is_exact_over_all_rings(stage: Stage) -> None:
    web = Limited(stage, hold=0.5, rings=RINGS, max_connections_per_client=7)
    crowd = Crowd(web.address, 300)
    assert crowd.served == 7 and web.peer.accepted == 7
    assert web.statistic("refused_per_client") == 293


# Maintenance


def test_maintenance_lets_nobody_in_and_is_reversible(stage: Stage) -> None:
    """The port stays open, so that nobody else can take it: who comes is closed at once."""
    web = Limited(stage, max_connections=1, queue_limit=5)
    first = web.served()
    waiting = web.come()
    web.wait_queued(1)
    web.change(maintenance=True)
    assert web.shuttled.admin.service("web")["maintenance"] is True
    read_to_end(stage.connect(web.address)).is_all_of(b"")
    first.sendall(b"more\n")
    assert read_exactly(first, len(REPLY)) == REPLY, "sessions run on"
    first.close()
    assert read_exactly(waiting, len(REPLY)) == REPLY, "who waits was accepted before"
    waiting.close()
    assert web.statistic("refused") == 1
    web.change(maintenance=False)
    web.served().close()
