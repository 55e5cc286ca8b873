"""Who gets the next connection: cases 34 and 35 of the list in docs/tests.md, weights, and backends that are down."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from itertools import groupby

import pytest

from harness.peers import Named, Refusing
from harness.ports import free_address
from harness.ptrace import stopped_thread
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import connect, finish, read_to_end
from harness.wait import Stopwatch, eventually, throughout

IO_URING_ENTER = 426


class Pool:
    """A service with named backends of given weights."""

    def __init__(self, stage: Stage, weights: dict[str, int], rings: int = 2, **fields: object) -> None:
        self.stage = stage
        self.address = free_address()
        self.peers = {name: stage.add(Named(name)) for name in weights}
        backends = [backend(name, self.peers[name].address, weight=weight) for name, weight in weights.items()]
        self.shuttled: Shuttled = stage.shuttled([service("web", self.address, backends, **fields)], rings=rings)

    def sequence(self, count: int) -> list[str]:
        return [self.stage.name_at(self.address) for _ in range(count)]

    def hold(self, count: int) -> list[tuple[str, socket.socket]]:
        """Connections that stay open, with the backend each has."""
        held = []
        for _ in range(count):
            connection = self.stage.connect(self.address)
            held.append((read_line(connection), connection))
        return held


# Round robin


@pytest.mark.parametrize("rings", [1, 4])
def test_round_robin_is_exact_over_each_cycle(stage: Stage, rings: int) -> None:
    """Case 35: weights 5, 2, 1: each eight connections in a row are 5, 2 and 1, whichever rings take them."""
    pool = Pool(stage, {"five": 5, "two": 2, "one": 1}, rings=rings)
    sequence = pool.sequence(8 * 25)
    for start in range(0, len(sequence), 8):
        cycle = sequence[start : start + 8]
        assert Counter(cycle) == {"five": 5, "two": 2, "one": 1}, f"cycle {start // 8}: {cycle}"
    pool.shuttled.wait_idle()
    assert [b["connections"] for b in pool.shuttled.admin.service("web")["backends"]] == [125, 50, 25]


def test_round_robin_is_exact_when_many_connect_at_once(stage: Stage) -> None:
    """Case 35: 640 connections from 16 threads over 4 rings; the counts are exact, not about right."""
    pool = Pool(stage, {"five": 5, "two": 2, "one": 1}, rings=4)
    names: list[str] = []

    def run() -> None:
        names.extend(stage.name_at(pool.address) for _ in range(40))

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Counter(names) == {"five": 400, "two": 160, "one": 80}


def test_round_robin_is_smooth(stage: Stage) -> None:
    """A heavy backend does not get its whole weight in one burst, as it did in the original."""
    sequence = Pool(stage, {"heavy": 5, "two": 2, "one": 1}).sequence(8 * 6)
    longest = max(len(list(run)) for _, run in groupby(sequence))
    assert longest <= 3, f"{longest} in a row: {sequence}"
    even = Pool(stage, {"a": 100, "b": 100}).sequence(40)
    assert max(len(list(run)) for _, run in groupby(even)) == 1, f"equal weights take turns: {even}"


def test_weights_change_at_once_and_exactly(stage: Stage) -> None:
    pool = Pool(stage, {"a": 1, "b": 1})
    assert Counter(pool.sequence(10)) == {"a": 5, "b": 5}
    pool.shuttled.admin.change("/web/a", backend("a", pool.peers["a"].address, weight=3))
    assert Counter(pool.sequence(40)) == {"a": 30, "b": 10}


@pytest.mark.parametrize("balance", ["RR", "LC"])
def test_weight_zero_gets_nothing(stage: Stage, balance: str) -> None:
    pool = Pool(stage, {"a": 1, "none": 0, "b": 1}, balance=balance)
    assert Counter(name for name, _ in pool.hold(20)) == {"a": 10, "b": 10}
    assert pool.peers["none"].accepted == 0
    alone = Pool(stage, {"none": 0}, balance=balance)
    assert read_to_end(stage.connect(alone.address)).data == b"", "also when it is the only one"


# Least connections


@pytest.mark.parametrize("rings", [1, 4])
def test_least_connections_fill_up_evenly(stage: Stage, rings: int) -> None:
    """Case 35: open connections count, over all rings; who has fewer gets the next."""
    pool = Pool(stage, {"a": 1, "b": 1, "c": 1}, rings=rings, balance="LC")
    held = pool.hold(30)
    assert Counter(name for name, _ in held) == {"a": 10, "b": 10, "c": 10}
    for name, connection in held:
        if name == "b":
            connection.close()
    eventually(lambda: pool.shuttled.admin.backend("web", "b")["active"] == 0, "those of b are gone")
    assert [name for name, _ in pool.hold(10)] == ["b"] * 10


def test_least_connections_go_by_weight(stage: Stage) -> None:
    """Case 35: weights 3 and 1: of 40 open connections 30 and 10. (The original ignores the weights.)"""
    pool = Pool(stage, {"three": 3, "one": 1}, balance="LC")
    held = pool.hold(40)
    assert Counter(name for name, _ in held) == {"three": 30, "one": 10}
    for name, connection in held:
        if name == "three":
            connection.close()
    eventually(lambda: pool.shuttled.admin.backend("web", "three")["active"] == 0, "those of three are gone")
    assert [name for name, _ in pool.hold(30)] == ["three"] * 30


# Backends that are down


@pytest.mark.parametrize("balance", ["RR", "LC"])
def test_a_backend_that_is_down_gets_nothing_new(stage: Stage, balance: str) -> None:
    pool = Pool(stage, {"a": 1, "b": 1}, balance=balance, check_interval=50, fall=1, rise=1)
    sick = stage.add(Refusing())
    pool.shuttled.admin.change("/web/b", backend("b", pool.peers["b"].address, check_address=sick.address))
    eventually(lambda: not pool.shuttled.admin.backend("web", "b")["up"], "b is down")
    before = pool.peers["b"].accepted
    assert Counter(pool.sequence(20)) == {"a": 20}
    assert pool.peers["b"].accepted == before
    pool.shuttled.admin.change("/web/b", backend("b", pool.peers["b"].address))
    eventually(lambda: "b" in pool.sequence(4), "without a check it is up again, and has its part")


@pytest.mark.parametrize("balance", ["RR", "LC"])
def test_a_lone_backend_that_is_down_gets_nothing_either(stage: Stage, balance: str) -> None:
    """The client is closed at once. (In the original a lone backend ignores its health.)"""
    address = free_address()
    peer, sick = stage.add(Named("lone")), stage.add(Refusing())
    lone = backend("lone", peer.address, check_address=sick.address)
    shuttled = stage.shuttled([service("web", address, [lone], balance=balance, check_interval=50, fall=1)])
    eventually(lambda: not shuttled.admin.backend("web", "lone")["up"], "it is down")
    before = peer.accepted
    for number in range(1, 11):
        watch = Stopwatch()
        client = stage.connect(address)
        read_to_end(client).is_all_of(b"")
        assert watch.seconds < 0.2
        client.close()
    shuttled.wait_idle()
    entry = shuttled.admin.service("web")
    assert (entry["connections"], entry["errors"], entry["backends"][0]["errors"]) == (number, number, 0)
    assert peer.accepted == before


# Rings


def test_connections_spread_over_the_rings(stage: Stage) -> None:
    """Case 34: of 400 connections over 4 rings, none takes less than 60 or more than 140 hundredths of its share.

    A ring's part is told by how many completions it saw, which the kernel counts; each session costs about the same.
    """
    pool = Pool(stage, {"a": 1, "b": 1}, rings=4)
    rings = pool.shuttled.view.rings()
    assert len(rings) == 4
    before = [pool.shuttled.view.completions(ring) for ring in rings]
    for _ in range(400):
        client = connect(pool.address)
        read_line(client)
        client.close()
    pool.shuttled.wait_idle()
    seen = [pool.shuttled.view.completions(ring) - start for ring, start in zip(rings, before)]
    share = [count / sum(seen) for count in seen]
    assert min(share) >= 0.15 and max(share) <= 0.35, f"shares of the rings: {share}"


def test_other_rings_serve_while_one_is_blocked(stage: Stage) -> None:
    """Case 34: one ring's thread is stopped; at most the connection it was about to take waits for it."""
    pool = Pool(stage, {"a": 1}, rings=4)
    threads = eventually(
        lambda: (found := pool.shuttled.view.threads_in_call(IO_URING_ENTER)) and len(found) == 4 and found,
        "four threads wait in their rings",
    )
    with stopped_thread(threads[1]):
        clients = [stage.connect(pool.address) for _ in range(60)]
        eventually(lambda: pool.peers["a"].accepted >= 59, "all but one are served")
        assert pool.shuttled.admin.get("/web").status == 200
    assert {read_line(client) for client in clients} == {"a"}, "and that one when the ring goes on"
    for client in clients:
        finish(client)
        assert read_to_end(client).data == b""


def test_nothing_goes_to_a_backend_without_a_connection_to_the_service(stage: Stage) -> None:
    pool = Pool(stage, {"a": 1}, check_interval=50)
    throughout(lambda: pool.peers["a"].accepted == 0, "no connection is made in advance", 0.5)
