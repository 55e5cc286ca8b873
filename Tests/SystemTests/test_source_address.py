"""Where connections to backends come from: `source_address`, one or several, and what is refused of it."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import pytest

from harness import netns
from harness.peers import Echo, Peer
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage
from harness.streams import connect, echoes


class Noting(Peer):
    """Echoes, and notes where each connection came from."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.sources: list[str] = []
        self.noting = threading.Lock()
        super().__init__(address)

    def handle(self, connection: socket.socket) -> None:
        with self.noting:
            self.sources.append(connection.getpeername()[0])
        while data := connection.recv(65_536):
            connection.sendall(data)


def test_connections_come_from_the_address_given(stage: Stage) -> None:
    peer = stage.add(Noting())
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", peer.address)], source_address="127.1.2.3")])
    assert echoes(stage.connect(address))
    assert peer.sources == ["127.1.2.3"]
    assert shuttled.admin.config()[0]["source_address"] == "127.1.2.3", "one is printed without brackets"


def test_several_addresses_take_turns_and_a_change_is_for_new_sessions(stage: Stage) -> None:
    peer = stage.add(Noting())
    address = free_address()
    configuration = service("web", address, [backend("b", peer.address)], source_address=["127.1.0.1", "127.1.0.2"])
    shuttled = stage.shuttled([configuration], rings=1)
    for _ in range(10):
        assert echoes(stage.connect(address))
    assert Counter(peer.sources) == {"127.1.0.1": 5, "127.1.0.2": 5}
    shuttled.admin.put("/web", {**configuration, "source_address": ["127.1.0.9"]}).expect(200)
    assert echoes(stage.connect(address))
    assert peer.sources[-1] == "127.1.0.9"
    del configuration["source_address"]
    shuttled.admin.put("/web", configuration).expect(200)
    assert echoes(stage.connect(address))
    assert peer.sources[-1] == "127.0.0.1"


def test_each_family_has_its_own_addresses(stage: Stage) -> None:
    four = stage.add(Noting())
    try:
        six = stage.add(Noting("[::1]:0"))
    except OSError:
        pytest.skip("this machine has no IPv6")
    address = free_address()
    backends = [backend("four", four.address), backend("six", six.address)]
    stage.shuttled([service("web", address, backends, source_address=["::1", "127.1.0.1"])])
    for _ in range(4):
        assert echoes(stage.connect(address))
    assert four.sources == ["127.1.0.1"] * 2 and six.sources == ["::1"] * 2


def test_what_cannot_be_used_is_refused_when_the_change_is_made(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    configuration = service("web", address, [backend("b", echo.address)])
    shuttled = stage.shuttled([configuration])
    # Of the documentation, RFC 5737: nobody has it.
    problem = shuttled.admin.put("/web", {**configuration, "source_address": ["127.0.0.1", "192.0.2.77"]}).problem(400)
    problem.points_to("/source_address").says("192.0.2.77", "no network interface of this machine has this address")
    problem = shuttled.admin.put("/web", {**configuration, "source_address": "localhost"}).problem(400)
    problem.points_to("/source_address").says("a numeric address")
    problem = shuttled.admin.put("/web", {**configuration, "source_address": "::1"}).problem(400)
    problem.says("every backend has an IPv4 address")
    assert "source_address" not in shuttled.admin.config()[0]
    assert echoes(stage.connect(address)), "nothing has changed"


@pytest.mark.skipif(not netns.is_possible(), reason="a network namespace needs root")
def test_each_address_brings_a_port_range_of_its_own(stage: Stage) -> None:
    """Eight ports and three addresses are 24 connections to one backend; the one that finds an address without ports
    goes by the next."""
    ports = (21_000, 21_007)
    count = ports[1] - ports[0] + 1

    def scenario() -> None:
        peer = stage.add(Noting("127.0.0.1:18000"))
        address = "127.0.0.1:18001"
        http = str(stage.directory / "admin.sock")
        sources = ["127.1.0.1", "127.1.0.2", "127.1.0.3"]
        one = backend("b", peer.address)
        shuttled = stage.shuttled([service("web", address, [one], source_address=sources, retries=0)], http=http)
        # All ports of one of the three are in use already.
        held = []
        for _ in range(count):
            taken = socket.socket()
            taken.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            taken.bind(("127.1.0.2", 0))
            taken.connect(("127.0.0.1", 18000))
            held.append(stage.add(taken))
        clients = [connect(address, source=("127.0.0.2", 25_000 + i)) for i in range(2 * count)]
        assert all(echoes(client) for client in clients)
        assert Counter(peer.sources) == {"127.1.0.1": count, "127.1.0.2": count, "127.1.0.3": count}
        entry = shuttled.admin.service("web")
        assert entry["errors"] == 0 and entry["active"] == 2 * count
        for client in clients:
            client.close()
        shuttled.wait_idle()
        stage.close(failed=False)  # in here, since a process started by this thread ends with it

    with netns.NetworkNamespace(port_range=ports) as namespace:
        namespace.run(scenario)
