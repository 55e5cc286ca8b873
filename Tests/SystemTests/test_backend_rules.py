"""What bounds the choice of a backend: limits, backups, states, retries; the backends count for themselves."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter

import pytest

from harness.peers import Blackhole, Named, Peer, Refusing
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import End, finish, read_to_end
from harness.wait import Stopwatch, eventually


class Counting(Peer):
    """Says its name, ends when the client does, and knows how many connections it had at a time at most.

    Connections are counted in the order of the kernel: before a new one is counted, those whose end is there are not
    any more.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.most = 0
        self._counted: set[socket.socket] = set()
        self._counting = threading.Lock()
        super().__init__()

    def handle(self, connection: socket.socket) -> None:
        with self._counting:
            self._counted = {other for other in self._counted if not _has_ended(other)}
            self._counted.add(connection)
            self.most = max(self.most, len(self._counted))
        connection.sendall(self.name.encode() + b"\n")
        while connection.recv(65_536):
            pass
        with self._counting:
            self._counted.discard(connection)


def _has_ended(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def put_backend(shuttled: Shuttled, name: str, address: str, **fields: object) -> None:
    shuttled.admin.put(f"/web/{name}", backend(name, address, **fields)).expect(200)


# Limits


@pytest.mark.parametrize("balance", ["RR", "LC", "P2C", "RANDOM", "HASH"])
def test_no_backend_has_more_connections_than_it_may(stage: Stage, balance: str) -> None:
    """Eight rings, 24 threads, places for five: each is served or closed, and the backends count five at most."""
    limits = {"two": 2, "three": 3}
    peers = {name: stage.add(Counting(name)) for name in limits}
    backends = [backend(name, peers[name].address, max_connections=limit) for name, limit in limits.items()]
    address = free_address()
    shuttled = stage.shuttled([service("web", address, backends, balance=balance)], rings=8)
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()

    def run() -> None:
        for _ in range(40):
            with stage.connect(address) as client:
                said = client.recv(100)
                finish(client)
                with lock:
                    outcomes["served" if said else "closed"] += 1

    threads = [threading.Thread(target=run) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shuttled.wait_idle()
    assert sum(outcomes.values()) == 960
    assert outcomes["served"] > 5
    for name, limit in limits.items():
        assert 0 < peers[name].most <= limit, f"{name} had {peers[name].most} at a time"
    entry = shuttled.admin.service("web")
    assert sum(b["connections"] for b in entry["backends"]) == outcomes["served"]
    held = [stage.connect(address) for _ in range(5)]
    assert Counter(read_line(client) for client in held) == limits, "every place can be had"
    read_to_end(stage.connect(address)).is_all_of(b"")


def test_a_full_backend_leaves_its_turns_to_others_and_takes_them_again(stage: Stage) -> None:
    one, other = stage.add(Named("one")), stage.add(Named("other"))
    address = free_address()
    backends = [backend("one", one.address, max_connections=1), backend("other", other.address)]
    shuttled = stage.shuttled([service("web", address, backends)])
    held = {}
    for _ in range(6):
        client = stage.connect(address)
        held.setdefault(read_line(client), []).append(client)
    assert {name: len(clients) for name, clients in held.items()} == {"one": 1, "other": 5}
    held["one"][0].close()
    eventually(lambda: shuttled.admin.service("web")["backends"][0]["active"] == 0, "the place is free")
    assert {stage.name_at(address) for _ in range(2)} == {"one", "other"}


def test_a_limit_is_changed_live(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("one", one.address, max_connections=1)])])
    first = stage.connect(address)
    assert read_line(first) == "one"
    read_to_end(stage.connect(address)).is_all_of(b"")
    put_backend(shuttled, "one", one.address, max_connections=2)
    second = stage.connect(address)
    assert read_line(second) == "one"
    put_backend(shuttled, "one", one.address, max_connections=1)
    read_to_end(stage.connect(address)).is_all_of(b"")
    first.sendall(b"still here")
    assert first.recv(100) == b"still here", "what is above the new limit runs on"


# Backups and states


def test_a_backup_stands_in_for_those_that_are_gone_and_not_for_those_that_are_busy(stage: Stage) -> None:
    main, spare = stage.add(Named("main")), stage.add(Named("spare"))
    address = free_address()
    backends = [backend("main", main.address, max_connections=1), backend("spare", spare.address, backup=True)]
    shuttled = stage.shuttled([service("web", address, backends)])
    held = stage.connect(address)
    assert read_line(held) == "main"
    read_to_end(stage.connect(address)).is_all_of(b"")
    put_backend(shuttled, "main", main.address, max_connections=1, state="drain")
    assert [stage.name_at(address) for _ in range(3)] == ["spare"] * 3
    held.close()
    put_backend(shuttled, "main", main.address)
    assert [stage.name_at(address) for _ in range(3)] == ["main"] * 3
    assert spare.accepted == 3


def test_a_backup_is_tried_when_every_other_refuses(stage: Stage) -> None:
    address = free_address()
    backends = [backend(f"bad{index}", stage.add(Refusing()).address) for index in range(2)]
    backends.append(backend("spare", stage.add(Named("spare")).address, backup=True))
    stage.shuttled([service("web", address, backends)])
    assert [stage.name_at(address) for _ in range(4)] == ["spare"] * 4


@pytest.mark.parametrize("state", ["drain", "maintenance"])
def test_a_backend_that_is_not_ready_keeps_what_it_has(stage: Stage, state: str) -> None:
    one, other = stage.add(Named("one")), stage.add(Named("other"))
    address = free_address()
    backends = [backend("one", one.address), backend("other", other.address)]
    shuttled = stage.shuttled([service("web", address, backends)])
    held = [stage.connect(address) for _ in range(2)]
    (kept,) = [client for client in held if read_line(client) == "one"]
    put_backend(shuttled, "one", one.address, state=state)
    assert shuttled.admin.service("web")["backends"][0]["state"] == state
    assert [stage.name_at(address) for _ in range(4)] == ["other"] * 4
    kept.sendall(b"more")
    assert kept.recv(100) == b"more"
    put_backend(shuttled, "one", one.address)
    assert {stage.name_at(address) for _ in range(2)} == {"one", "other"}


# Retries


@pytest.mark.parametrize("retries", [0, 4, 7])
def test_as_many_further_backends_are_tried_as_the_service_says(stage: Stage, retries: int) -> None:
    address = free_address()
    backends = [backend(f"bad{index}", stage.add(Refusing()).address) for index in range(9)]
    shuttled = stage.shuttled([service("web", address, backends, retries=retries)])
    read_to_end(stage.connect(address)).is_all_of(b"")
    shuttled.wait_idle()
    web = shuttled.admin.service("web")
    assert sum(b["errors"] for b in web["backends"]) == retries + 1
    assert web["retried"] == sum(b["retried"] for b in web["backends"]) == retries


def test_all_tries_together_end_in_time(stage: Stage) -> None:
    address = free_address()
    backends = [backend(f"hole{index}", stage.add(Blackhole()).address) for index in range(5)]
    timeouts = {"connect_timeout": 300, "retries": 4, "retry_timeout": 700}
    shuttled = stage.shuttled([service("web", address, backends, **timeouts)])
    watch = Stopwatch()
    assert read_to_end(stage.connect(address)).end is End.FINISHED
    assert 0.69 <= watch.seconds < 1.0
    shuttled.wait_idle()
    assert sum(b["errors"] for b in shuttled.admin.service("web")["backends"]) == 3


# Algorithms


def test_a_client_goes_to_the_same_backend_by_its_address(stage: Stage) -> None:
    """Sixteen addresses of this machine; one backend is taken out and comes back: only its clients move, and return."""
    peers = {name: stage.add(Named(name)) for name in ("one", "two", "three")}
    address = free_address()
    backends = [backend(name, peer.address) for name, peer in peers.items()]
    shuttled = stage.shuttled([service("web", address, backends, balance="HASH")], rings=4)

    def names() -> list[str]:
        found = []
        for host in range(1, 17):
            with socket.create_connection(("127.0.0.1", int(address.split(":")[1])), 10, (f"127.0.0.{host}", 0)) as client:
                found.append(read_line(client))
        return found

    before = names()
    assert names() == before
    assert len(set(before)) > 1
    gone = before[0]
    put_backend(shuttled, gone, peers[gone].address, max_connections=1)
    with socket.create_connection(("127.0.0.1", int(address.split(":")[1])), 10, ("127.0.0.1", 0)) as held:
        assert read_line(held) == gone
        during = names()
        assert gone not in during
        assert [new for old, new in zip(before, during) if old != gone] == [old for old in before if old != gone]
    eventually(lambda: shuttled.admin.service("web")["active"] == 0, "the place is free")
    put_backend(shuttled, gone, peers[gone].address)
    assert names() == before


@pytest.mark.parametrize("balance", ["P2C", "RANDOM"])
def test_chance_follows_the_weights(stage: Stage, balance: str) -> None:
    """400 connections by weights 4 and 1, held for P2C to see: 320 and 80, give or take five standard deviations."""
    peers = {name: stage.add(Named(name)) for name in ("four", "one")}
    address = free_address()
    backends = [backend(name, peer.address, weight=4 if name == "four" else 1) for name, peer in peers.items()]
    stage.shuttled([service("web", address, backends, balance=balance)])
    count = 100 if balance == "P2C" else 400
    clients = [stage.connect(address) for _ in range(count)]
    found = Counter(read_line(client) for client in clients)
    assert abs(found["one"] - count / 5) <= (2 if balance == "P2C" else 40), found
