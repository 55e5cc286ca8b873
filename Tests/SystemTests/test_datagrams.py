"""UDP services: whose datagrams go where, that none is changed, when sessions end, and what is refused."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import struct
import subprocess
import time
from collections import Counter
from typing import Any

import pytest

from harness import netns
from harness.datagrams import LONGEST, SOL_UDP, UDP_SEGMENT, DatagramClient, DatagramPeer, bound, named
from harness.dnsmasq import Dnsmasq, host
from harness.peers import Echo
from harness.ports import free_address, port_of, split
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect, echoes
from harness.wait import eventually


def udp(name: str, address: str, *backends: dict[str, Any], **fields: Any) -> dict[str, Any]:
    # Sessions of a test that passed must not be waited for.
    return service(name, address, backends, **{"network": "udp", "udp_idle_timeout": 60_000, **fields})


@contextlib.contextmanager
def udp_front(stage: Stage, *backends: dict[str, Any], rings: int = 2, **fields: Any) -> Any:
    """A UDP service `dns`; at the end it is removed, which ends its sessions, so that only leaks remain."""
    address = free_address()
    shuttled = stage.shuttled([], rings=rings)
    configuration = udp("dns", address, *backends, **fields)
    shuttled.admin.put("/dns", configuration).expect(200)
    yield address, shuttled, configuration
    shuttled.admin.delete("/dns").expect(200)


def statistics(shuttled: Shuttled) -> dict[str, Any]:
    return shuttled.admin.service("dns")


# The main example


def test_questions_and_answers_of_a_real_dns_server(stage: Stage) -> None:
    """UDP and TCP at the same address, as DNS wants it, in front of two dnsmasq."""
    servers = [
        stage.add(Dnsmasq(stage.directory / name, host("www.test", address)))
        for name, address in (("one", "192.0.2.1"), ("two", "192.0.2.2"))
    ]
    address = free_address()
    backends = [backend(f"b{index}", server.address) for index, server in enumerate(servers)]
    shuttled = stage.shuttled(
        [udp("dns", address, *backends, udp_responses=1), service("dns-tcp", address, backends)], rings=2
    )
    dig = shutil.which("dig")
    answers = Counter(question(address, "www.test") for _ in range(20))
    assert answers == {"192.0.2.1": 10, "192.0.2.2": 10}
    if dig:
        for options in ([], ["+tcp"]):
            done = subprocess.run(
                [dig, "+short", *options, "@127.0.0.1", "-p", str(port_of(address)), "www.test"],
                capture_output=True, text=True, timeout=20,
            )  # fmt: skip
            assert done.stdout.strip() in ("192.0.2.1", "192.0.2.2"), done
    with connect(address) as over_tcp:
        over_tcp.sendall(len(query("www.test")).to_bytes(2, "big") + query("www.test"))
        assert over_tcp.recv(512)[-4:] in (b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02")
    entry = statistics(shuttled)
    assert entry["connections"] >= 20 and entry["errors"] == 0 and entry["datagrams_dropped"] == 0
    eventually(lambda: statistics(shuttled)["active"] == 0, "a session ends with its answer")


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


def question(address: str, name: str) -> str:
    client = DatagramClient(address)
    try:
        return socket.inet_ntoa(client.ask(query(name))[-4:])
    finally:
        client.close()


# Datagrams are what they were


def test_every_datagram_stays_one_whatever_its_size(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        source = random.Random(17)
        sizes = [0, 1, 0, 2, 511, 512, 1472, 1473, 4096, 9000, 16383, 16384, 16385, 32768, 65_000, LONGEST - 1, LONGEST, 0, LONGEST]
        for size in sizes:
            datagram = source.randbytes(size)
            assert client.ask(datagram) == datagram, size
        assert [len(datagram) for datagram, _ in peer.received] == sizes
        assert len(set(peer.sources)) == 1, "one session"
        entry = statistics(shuttled)
        assert entry["sent"] == entry["received"] == sum(sizes)
        assert entry["datagrams_sent"] == entry["datagrams_received"] == len(sizes)
        assert entry["datagrams_dropped"] == 0 and entry["connections"] == 1 == entry["active"]


def test_datagrams_in_a_burst_keep_their_bounds_and_their_order(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        sent = []
        for round_ in range(50):
            burst = [round_.to_bytes(2, "big") + bytes([index]) * (index * 7 % 300) for index in range(20)]
            for datagram in burst:
                client.send(datagram)
            assert [client.receive() for _ in burst] == burst
            sent += burst
        assert [datagram for datagram, _ in peer.received] == sent


def test_a_burst_that_fills_all_buffers_stops_nothing(stage: Stage) -> None:
    """Six hundred of the longest datagrams wait while shuttled is stopped; what its sockets have no room for is lost."""
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address), rings=1) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(4)]
        with shuttled.stopped():
            for number in range(600):
                clients[number % 4].send(number.to_bytes(2, "big"))
        eventually(lambda: len(peer.received) > 100, "what waited is relayed")
        for client in clients:
            client.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.socket.recv(100)
            client.send(b"afterwards")

            def hears(client: DatagramClient = client) -> bool:
                while (answer := client.receive(1)) != b"afterwards":
                    assert len(answer) == 2
                return True

            eventually(hears, "the sessions go on")


# Whose session it is


def test_each_client_has_a_session_of_its_own(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(300)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(b"%d.%d" % (number, turn))
            for number, client in enumerate(clients):
                assert client.receive() == b"%d.%d" % (number, turn)
        assert len(set(peer.sources)) == 300
        entry = statistics(shuttled)
        assert entry["connections"] == 300 == entry["active"] and entry["backends"][0]["active"] == 300
        rings = [ring["sessions"] for ring in shuttled.admin.get("/v1/rings").expect(200).json]
        assert sum(rings) == 300 and min(rings) > 75, f"clients are spread over the rings: {rings}"


def test_backends_get_clients_by_weight_and_keep_them(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address, weight=3))
    with udp_front(stage, *backends) as (address, _, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(40)]
        names = [client.ask(b"who") for client in clients]
        assert Counter(names) == {b"one": 10, b"two": 30}
        for _ in range(3):
            assert [client.ask(b"who") for client in clients] == names


def test_least_connections_and_the_hash_go_by_sessions_and_clients(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends, balance="LC") as (address, shuttled, configuration):
        clients = [stage.add(DatagramClient(address)) for _ in range(20)]
        assert Counter(client.ask(b"who") for client in clients) == {b"one": 10, b"two": 10}
        shuttled.admin.put("/dns", {**configuration, "balance": "HASH"}).expect(200)
        assert len({stage.add(DatagramClient(address)).ask(b"who") for _ in range(20)}) == 1, "one host, one backend"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_answers_leave_from_where_they_were_asked(stage: Stage, host: str) -> None:
    """On a wildcard address; a connected client takes answers from nowhere else."""
    peer = stage.add(DatagramPeer())
    port = port_of(free_address())
    shuttled = stage.shuttled([], rings=2)
    shuttled.admin.put("/dns", udp("dns", f":{port}", backend("b", peer.address))).expect(200)
    try:
        client = stage.add(DatagramClient(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert client.ask(b"hello") == b"hello"
    assert client.ask(b"") == b""
    shuttled.admin.delete("/dns").expect(200)


def test_one_client_at_two_local_addresses_has_two_sessions(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (_, shuttled, configuration):
        port = port_of(free_address())
        shuttled.admin.put("/dns", {**configuration, "address": f"0.0.0.0:{port}"}).expect(200)
        client = stage.add(bound())
        client.settimeout(10)
        for local in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            client.sendto(local.encode(), (local, port))
            assert client.recvfrom(100) == (local.encode(), (local, port))
        assert len(set(peer.sources)) == 2


# When sessions end


def test_an_idle_session_ends_and_the_next_datagram_begins_another(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address), udp_idle_timeout=300) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        begin = time.monotonic()
        client.ask(b"one")
        eventually(lambda: statistics(shuttled)["active"] == 0, "the session ends")
        assert time.monotonic() - begin > 0.29
        assert statistics(shuttled)["ended"]["idle"] == 1
        client.ask(b"two")
        assert len(set(peer.sources)) == 2
        # Datagrams either way keep it.
        source = peer.sources[-1]
        end = time.monotonic() + 1
        while time.monotonic() < end:
            peer.send(b"news", source)
            assert client.receive() == b"news"
            time.sleep(0.05)
        assert statistics(shuttled)["active"] == 1


def test_sessions_end_with_the_answers_that_are_expected(stage: Stage) -> None:
    peer = stage.add(DatagramPeer(answers=lambda datagram: [datagram] * 2 if datagram == b"twice" else [datagram]))
    with udp_front(stage, backend("b", peer.address), udp_responses=2) as (address, shuttled, configuration):
        client = stage.add(DatagramClient(address))
        client.ask(b"once")
        assert statistics(shuttled)["active"] == 1
        client.ask(b"once")
        eventually(lambda: statistics(shuttled)["active"] == 0, "two answers end it")
        client.send(b"twice")
        assert (client.receive(), client.receive()) == (b"twice", b"twice")
        eventually(lambda: statistics(shuttled)["active"] == 0, "two answers to one question end it as well")
        assert len(set(peer.sources)) == 2 == statistics(shuttled)["connections"]
        # Live: of one answer from now on. Two questions in one breath get both of theirs.
        shuttled.admin.put("/dns", {**configuration, "udp_responses": 1}).expect(200)
        with shuttled.stopped():
            client.send(b"for A")
            client.send(b"for AAAA")
        assert {client.receive(), client.receive()} == {b"for A", b"for AAAA"}
        eventually(lambda: statistics(shuttled)["active"] == 0, "both answers end it")


def test_after_so_many_questions_a_client_gets_another_session(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends, udp_requests=2) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        names = [client.ask(b"who") for _ in range(8)]
        assert names in ([b"one", b"one", b"two", b"two"] * 2, [b"two", b"two", b"one", b"one"] * 2)
        assert statistics(shuttled)["connections"] == 4
        # What earlier sessions are still told is passed on.
        one.send(b"late", one.sources[0])
        assert client.receive() == b"late"


def test_the_longest_idle_makes_room(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address), rings=1, udp_max_sessions=10) as (address, shuttled, configuration):
        clients = [stage.add(DatagramClient(address)) for _ in range(10)]
        for client in clients:
            client.ask(b"hello")
        time.sleep(0.02)
        clients[0].ask(b"again")
        time.sleep(0.02)
        late = stage.add(DatagramClient(address))
        late.ask(b"hello")
        entry = statistics(shuttled)
        assert entry["active"] == 10 and entry["evicted"] == 1 and entry["errors"] == 0
        before = len(set(peer.sources))
        clients[0].ask(b"still there")
        assert len(set(peer.sources)) == before, "who had something to say was kept"
        # A flood is bounded, and costs nothing but the sessions of others. Its sockets are open at the same time, so that
        # no port comes twice, and it comes in bursts that the receive buffer of the listener holds.
        flood = [stage.add(DatagramClient(address)) for _ in range(500)]
        for start in range(0, len(flood), 100):
            for client in flood[start : start + 100]:
                client.send(b"x")
            eventually(
                lambda expected=111 + start: statistics(shuttled)["connections"] == expected,
                lambda: f"the burst has come through: {statistics(shuttled)}",
            )
        assert statistics(shuttled)["evicted"] == 501
        assert statistics(shuttled)["active"] <= 10
        # Live, downwards: two go for each that comes.
        shuttled.admin.put("/dns", {**configuration, "udp_max_sessions": 3}).expect(200)
        for _ in range(10):
            assert stage.add(DatagramClient(address)).ask(b"hello") == b"hello"
        assert statistics(shuttled)["active"] <= 3


# Backends that fail


def test_a_refusal_counts_against_the_backend_and_stops_nobody(stage: Stage) -> None:
    dead = bound()
    address_of_dead = f"127.0.0.1:{dead.getsockname()[1]}"
    dead.close()
    peer = stage.add(DatagramPeer())
    backends = (backend("dead", address_of_dead), backend("alive", peer.address))
    passive = {"failures": 3, "window": 10_000, "down_time": 60_000}
    with udp_front(stage, *backends, passive=passive) as (address, shuttled, _):

        def is_out() -> bool:
            client = DatagramClient(address)
            client.send(b"hello")
            client.close()
            return bool(shuttled.admin.backend("dns", "dead")["ejected"])

        eventually(is_out, "the backend is ejected")
        entry = statistics(shuttled)
        assert entry["datagrams_refused"] >= 3 and entry["errors"] >= 3
        assert entry["backends"][0]["last_failure"] == "connection refused"
        assert entry["backends"][1]["errors"] == 0
        for _ in range(20):
            assert stage.add(DatagramClient(address)).ask(b"hello") == b"hello"


def test_a_client_whose_backend_refuses_gets_another_with_its_next_datagram(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends, passive={"failures": 1, "window": 10_000, "down_time": 60_000}) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        first = client.ask(b"who")
        (one if first == b"one" else two).close()
        client.send(b"lost")
        eventually(lambda: statistics(shuttled)["datagrams_refused"] == 1, "the refusal is counted")
        other = b"two" if first == b"one" else b"one"
        # The first tries may come before the control thread has heard of the failure.
        eventually(lambda: client.ask(b"who", 0.5) == other, "the other one serves it")


def test_clients_that_are_gone_harm_nobody(stage: Stage) -> None:
    """Answers to a closed port come back as ICMP errors, which are nobody's here."""
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, _):
        for _ in range(50):
            gone = DatagramClient(address)
            gone.send(b"and away")
            gone.close()
        stays = stage.add(DatagramClient(address))
        for _ in range(20):
            assert stays.ask(b"hello") == b"hello"
        assert statistics(shuttled)["errors"] == 0 and statistics(shuttled)["datagrams_refused"] == 0


def test_without_a_usable_backend_datagrams_are_dropped_and_counted(stage: Stage) -> None:
    with udp_front(stage, backend("b", "127.0.0.1:9", weight=0)) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        client.send(b"hello")
        eventually(lambda: statistics(shuttled)["datagrams_dropped"] == 1, "it is dropped")
        assert statistics(shuttled)["errors"] == 1 and statistics(shuttled)["active"] == 0


# Live change


def test_sessions_survive_every_change_that_leaves_their_backend(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = [backend("one", one.address), backend("two", two.address)]
    with udp_front(stage, *backends) as (address, shuttled, configuration):
        clients = [stage.add(DatagramClient(address)) for _ in range(20)]
        names = [client.ask(b"who") for client in clients]
        changes: list[dict[str, Any]] = [
            {"balance": "LC"}, {"udp_idle_timeout": 50_000}, {"udp_max_sessions": 500}, {"maintenance": True},
            {"backends": [{**backends[0], "weight": 0}, backends[1]]},
            {"backends": [{**backends[0], "state": "drain"}, {**backends[1], "state": "maintenance"}]},
            {"backends": [backends[1], backends[0]]}, {"check_interval": 100}, {"max_lifetime": 3_600_000},
        ]  # fmt: skip
        for change in changes:
            shuttled.admin.put("/dns", {**configuration, **change}).expect(200)
            assert [client.ask(b"who") for client in clients] == names, change
        assert len(set(one.sources)) + len(set(two.sources)) == 20
        assert statistics(shuttled)["connections"] == 20


def test_sessions_of_a_removed_backend_move_with_their_next_datagram(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(20)]
        names = Counter(client.ask(b"who") for client in clients)
        assert names == {b"one": 10, b"two": 10}
        kept = set(two.sources)
        shuttled.admin.delete("/dns/one").expect(200)
        assert statistics(shuttled)["active"] == 20, "they move when they say something"
        assert {client.ask(b"who") for client in clients} == {b"two"}
        entry = statistics(shuttled)
        assert entry["active"] == 20 and entry["connections"] == 30 and entry["errors"] == 0
        assert kept <= set(two.sources) and len(set(two.sources)) == 20, "the others stayed where they were"


def test_a_backend_that_is_down_gives_its_clients_away(stage: Stage) -> None:
    check = stage.add(Echo())
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address, check_address=check.address), backend("two", two.address))
    with udp_front(stage, *backends, check_interval=50) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(10)]
        assert Counter(client.ask(b"who") for client in clients) == {b"one": 5, b"two": 5}
        check.close()
        eventually(lambda: not shuttled.admin.backend("dns", "one")["up"], "the check fails")
        assert {client.ask(b"who") for client in clients} == {b"two"}


def test_maintenance_takes_no_new_clients(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, configuration):
        here = stage.add(DatagramClient(address))
        here.ask(b"hello")
        shuttled.admin.put("/dns", {**configuration, "maintenance": True}).expect(200)
        late = stage.add(DatagramClient(address))
        late.send(b"hello")
        eventually(lambda: statistics(shuttled)["refused"] == 1, "it is refused")
        assert late.hears_nothing(0.1) and here.ask(b"still") == b"still"
        shuttled.admin.put("/dns", configuration).expect(200)
        assert late.ask(b"again") == b"again"


def test_who_may_not_come_in_begins_no_session(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address), deny=["127.0.0.5"]) as (address, shuttled, configuration):
        out, here = stage.add(DatagramClient(address, source="127.0.0.5")), stage.add(DatagramClient(address))
        assert here.ask(b"hello") == b"hello"
        out.send(b"hello")
        eventually(lambda: statistics(shuttled)["denied"] == 1, "it is denied")
        assert out.hears_nothing(0.1) and [datagram for datagram, _ in peer.received] == [b"hello"]
        shuttled.admin.put("/dns", {**configuration, "deny": ["127.0.0.0/8"]}).expect(200)
        assert here.ask(b"still") == b"still", "sessions run on"


def test_a_drain_ends_sessions_gradually(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends, drain_timeout=400) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(20)]
        for client in clients:
            client.ask(b"who")
        shuttled.admin.put("/dns/one", {**backends[0], "state": "drain"}).expect(200)
        eventually(lambda: shuttled.admin.backend("dns", "one")["active"] == 0, "its sessions end")
        assert statistics(shuttled)["ended"]["drain"] == 10 and statistics(shuttled)["active"] == 10
        assert {client.ask(b"who") for client in clients} == {b"two"}


def test_a_backends_limit_holds(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address, max_connections=3), backend("two", two.address, max_connections=4))
    with udp_front(stage, *backends) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(7)]
        assert Counter(client.ask(b"who") for client in clients) == {b"one": 3, b"two": 4}
        stage.add(DatagramClient(address)).send(b"one too many")
        eventually(lambda: statistics(shuttled)["refused"] == 1, "it is refused")
        assert statistics(shuttled)["active"] == 7


def test_an_address_changes_and_its_socket_refuses_at_once(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, configuration):
        client = stage.add(DatagramClient(address))
        client.ask(b"hello")
        other = free_address()
        shuttled.admin.put("/dns", {**configuration, "address": other}).expect(200)
        assert stage.add(DatagramClient(other)).ask(b"hello") == b"hello"
        client.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            client.receive()
        # From one host to all of them and back, on the same port.
        wildcard = f":{port_of(other)}"
        for next_ in (wildcard, other, wildcard):
            shuttled.admin.put("/dns", {**configuration, "address": next_}).expect(200)
            assert stage.add(DatagramClient(other)).ask(b"hello") == b"hello"
        eventually(lambda: statistics(shuttled)["active"] == 1, "sessions of closed sockets have ended")


def test_an_address_passes_to_another_service_without_closing(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    address, other = free_address(), free_address()
    shuttled = stage.shuttled([], rings=2)
    before = [udp("a", address, backend("b", one.address)), udp("z", other, backend("b", two.address))]
    shuttled.admin.put("/config", before).expect(200)
    client = stage.add(DatagramClient(address))
    assert client.ask(b"who") == b"one"
    after = [{**before[0], "address": other}, {**before[1], "address": address}]
    shuttled.admin.put("/config", after).expect(200)
    assert client.ask(b"who") == b"two"
    assert shuttled.admin.service("a")["active"] == 0 and shuttled.admin.service("z")["active"] == 1
    shuttled.admin.put("/config", []).expect(200)


def test_a_service_changes_its_network(stage: Stage) -> None:
    echo, peer = stage.add(Echo()), None
    peer = stage.add(DatagramPeer(echo.address))
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, configuration):
        client = stage.add(DatagramClient(address))
        client.ask(b"hello")
        over_tcp = {name: value for name, value in configuration.items() if name not in ("network", "udp_idle_timeout")}
        shuttled.admin.put("/dns", over_tcp).expect(200)
        connection = stage.connect(address)
        assert echoes(connection)
        client.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            client.receive()
        shuttled.admin.put("/dns", configuration).expect(200)
        assert stage.add(DatagramClient(address)).ask(b"hello") == b"hello"
        assert echoes(connection), "a connection of before runs on"
        connection.close()


def test_nobody_is_disturbed_while_everything_else_changes(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, configuration):
        client = stage.add(DatagramClient(address))
        for number in range(100):
            addresses = [free_address() for _ in range(2)]
            services = [configuration, *(udp(f"s{i}", a, backend("b", peer.address)) for i, a in enumerate(addresses))]
            shuttled.admin.put("/config", services).expect(200)
            assert client.ask(b"%d" % number) == b"%d" % number
        assert len(set(peer.sources)) == 1
        shuttled.admin.put("/config", [configuration]).expect(200)


# What is refused


def test_fields_of_the_other_network_are_refused_with_the_reason(stage: Stage) -> None:
    shuttled = stage.shuttled([])
    base = udp("dns", free_address())
    for field, value, words in (
        ("keepalive", {"idle": 1000}, "TCP connections"), ("user_timeout", 1, "TCP connections"),
        ("half_close", False, "TCP connections"), ("client_timeout", 5, "udp_idle_timeout"),
        ("retries", 1, "no datagram is sent a second time"), ("max_connections", 5, "udp_max_sessions"),
        ("queue_timeout", 5, "does not wait"), ("max_connections_per_client", 5, "TCP connections"),
    ):  # fmt: skip
        problem = shuttled.admin.put("/dns", {**base, field: value}).problem(400)
        problem.points_to(f"/{field}").says(field, '"network" is "udp"', words)
    for field in ("udp_responses", "udp_requests", "udp_max_sessions"):
        problem = shuttled.admin.put("/web", service("web", free_address(), **{field: 5})).problem(400)
        problem.points_to(f"/{field}").says('"network" is "tcp"')
    shuttled.admin.put("/dns", {**base, "network": "sctp"}).problem(400).points_to("/network").says('"tcp" or "udp"')
    shuttled.admin.put("/dns", {**base, "udp_idle_timeout": 0}).problem(400).points_to("/udp_idle_timeout")
    shuttled.admin.put("/dns", {**base, "udp_max_sessions": 0}).problem(400).points_to("/udp_max_sessions")
    assert shuttled.admin.config() == []


def test_an_address_may_have_one_service_of_each_network(stage: Stage) -> None:
    shuttled = stage.shuttled([])
    address = free_address()
    both = [udp("dns", address), service("dns-tcp", address)]
    shuttled.admin.put("/config", both).expect(200)
    problem = shuttled.admin.put("/config", [*both, udp("third", f":{port_of(address)}")]).problem(400)
    problem.says("third", "dns")
    shuttled.admin.put("/config", [udp("a", address), udp("b", address)]).problem(400).points_to("/0/address", "/1/address")
    shuttled.admin.put("/config", []).expect(200)


def test_an_address_in_use_is_refused(stage: Stage) -> None:
    address = free_address()
    host_, port = split(address)
    stranger = stage.add(bound(host_, port))
    shuttled = stage.shuttled([])
    shuttled.admin.put("/dns", udp("dns", address)).problem(409).points_to("/address").says("in use", f"ss -lunp 'sport = :{port}'")
    stranger.close()
    shuttled.admin.put("/dns", udp("dns", address)).expect(200)
    # The other way round, and for a second shuttled.
    with pytest.raises(OSError):
        bound(host_, port)
    other = stage.shuttled([])
    other.admin.put("/dns", udp("dns", address)).problem(409)
    shuttled.admin.delete("/dns").expect(200)


def test_the_configuration_comes_back_as_it_was(stage: Stage) -> None:
    shuttled = stage.shuttled([], state=True)
    configuration = udp(
        "dns", free_address(), udp_idle_timeout=1500, udp_max_sessions=5, udp_responses=1, udp_requests=7
    )
    shuttled.admin.put("/dns", configuration).expect(200)
    printed = shuttled.admin.config()[0]
    assert {name: printed[name] for name in configuration if name != "backends"} == {
        name: value for name, value in configuration.items() if name != "backends"
    }
    entry = statistics(shuttled)
    shuttled.admin.put("/dns", entry).expect(200)
    assert shuttled.admin.config()[0] == printed
    shuttled.admin.delete("/dns").expect(200)


# Where datagrams come from


def test_sessions_leave_from_the_source_addresses(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    sources = ["127.1.0.1", "127.1.0.2"]
    with udp_front(stage, backend("b", peer.address), rings=1, source_address=sources) as (address, _, _):
        for _ in range(10):
            stage.add(DatagramClient(address)).ask(b"hello")
        assert Counter(source for source, _ in set(peer.sources)) == {"127.1.0.1": 5, "127.1.0.2": 5}


@pytest.mark.skipif(not netns.is_possible(), reason="a network namespace needs root")
def test_running_out_of_ports_is_not_the_backends_fault(stage: Stage) -> None:
    ports = (21_000, 21_007)
    count = ports[1] - ports[0] + 1

    def scenario() -> None:
        peer = stage.add(DatagramPeer("127.0.0.1:18000"))
        address = "127.0.0.1:18001"
        http = str(stage.directory / "admin.sock")
        shuttled = stage.shuttled([udp("dns", address, backend("b", peer.address))], http=http, rings=1)
        clients = []
        for number in range(4 * count):
            client = DatagramClient.__new__(DatagramClient)
            client.socket = bound("127.0.0.2", 25_000 + number)
            client.socket.connect(("127.0.0.1", 18001))
            clients.append(stage.add(client))
        # Where no port is left the longest idle gives way, and the next datagram finds its port.
        for client in clients:
            eventually(lambda client=client: client.ask(b"hello", 0.1) == b"hello", "it is served")
        entry = statistics(shuttled)
        assert entry["active"] <= count and entry["evicted"] >= 3 * count
        assert entry["backends"][0]["errors"] == 0 and not entry["backends"][0]["ejected"]
        shuttled.admin.delete("/dns").expect(200)
        stage.close(failed=False)  # in here, since a process started by this thread ends with it

    with netns.NetworkNamespace(port_range=ports) as namespace:
        namespace.run(scenario)


# Batches


@pytest.mark.parametrize(
    ("size", "count"), [(1200, 50), (1, 60), (100, 64), (1400, 46), (16_000, 4), (8, 2)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_datagrams_that_are_sent_in_batches_stay_datagrams(stage: Stage, host: str, size: int, count: int) -> None:
    """A client that has the kernel take its datagrams apart (UDP_SEGMENT), and a backend that does."""
    peer = stage.add(DatagramPeer(answers=lambda datagram: []))
    address = f"{host}:{port_of(free_address())}"
    shuttled = stage.shuttled([], rings=1)
    shuttled.admin.put("/dns", udp("dns", address, backend("b", peer.address))).expect(200)
    client = stage.add(DatagramClient(f"127.0.0.1:{port_of(address)}"))
    source = random.Random(size)
    # The last one may be shorter than the others.
    content = source.randbytes(size * count - (size // 2))
    expected = [content[start : start + size] for start in range(0, len(content), size)]
    client.socket.sendmsg([content], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))])
    eventually(lambda: len(peer.received) == count, "all of them come")
    assert [datagram for datagram, _ in peer.received] == expected
    upstream = peer.sources[0]
    peer.send_batch(content, size, upstream)
    assert [client.receive() for _ in range(count)] == expected
    entry = statistics(shuttled)
    assert entry["datagrams_sent"] == entry["datagrams_received"] == count and entry["datagrams_dropped"] == 0
    assert entry["sent"] == entry["received"] == len(content)
    shuttled.admin.delete("/dns").expect(200)


def test_the_end_of_shuttled_is_clean_with_sessions_open(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    address = free_address()
    shuttled = stage.shuttled([udp("dns", address, backend("b", peer.address))])
    client = stage.add(DatagramClient(address))
    client.ask(b"hello")
    begin = time.monotonic()
    shuttled.stop()
    assert time.monotonic() - begin < 2, "nothing of UDP is waited for"
