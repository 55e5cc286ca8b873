"""UDP services behind proxies: `proxy_protocol_accept`, a header of version 2 before each datagram, and what is none."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest

from harness.datagrams import LONGEST, SOL_UDP, UDP_SEGMENT, DatagramClient, DatagramPeer, named
from harness.dnsdist import Dnsdist
from harness.ports import free_address, port_of
from harness.proxy_protocol import v1, v2, v2_datagram, v2_of
from harness.shuttled import Shuttled, backend
from harness.stage import Stage
from harness.wait import eventually
from test_datagram_limits import told
from test_datagrams import query, statistics, udp, udp_front

HERE = "203.0.113.7:443"
CLIENT, OTHER = "192.0.2.77:56324", "192.0.2.78:56324"
IPV6_CLIENT, IPV6_HERE = "[2001:db8::77]:56324", "[2001:db8::1]:443"
EXTRAS = struct.pack(">BH", 4, 300) + bytes(300) + struct.pack(">BHI", 3, 4, 0)


def dropped(shuttled: Shuttled, count: int) -> None:
    """So many have been dropped, all for want of a header."""

    def counted() -> tuple[int, int]:
        entry = statistics(shuttled)
        return entry["preread_failures"], entry["datagrams_dropped"]

    eventually(lambda: counted() == (count, count), lambda: f"failures and drops are {counted()}, not {count}")


@pytest.mark.parametrize(
    ("header", "client", "asked"),
    [
        (v2_datagram(CLIENT, HERE), CLIENT, HERE),
        (v2_datagram(CLIENT, HERE, EXTRAS), CLIENT, HERE),
        # How the client speaks to its proxy is no concern of ours: DNS over HTTPS may go on by datagram.
        (v2(CLIENT, HERE), CLIENT, HERE),
        (v2_datagram(IPV6_CLIENT, IPV6_HERE), "2001:db8::77:56324", "2001:db8::1:443"),
    ],
    ids=["datagram", "extras", "stream", "ipv6"],
)
def test_what_a_header_says_is_told_on_and_the_rest_is_the_datagram(
    stage: Stage, header: bytes, client: str, asked: str
) -> None:
    peer = stage.add(DatagramPeer(answers=lambda datagram: [told(datagram)[4]]))
    fields = {"proxy_protocol_accept": True, "proxy_protocol_send": "v2"}
    with udp_front(stage, backend("b", peer.address), **fields) as (address, shuttled, _):
        proxy = stage.add(DatagramClient(address))
        payloads = [b"", b"x", b"", bytes(1400), header, bytes(30_000), b"last"]
        for payload in payloads:
            assert proxy.ask(header + payload) == payload, "the answer comes to whoever has sent it, without a header"
        for (datagram, _), payload in zip(peer.received, payloads, strict=True):
            source, source_port, destination, port, content = told(datagram)
            assert (f"{source}:{source_port}", f"{destination}:{port}", content) == (client, asked, payload)
        entry = statistics(shuttled)
        assert entry["connections"] == 1 and entry["datagrams_dropped"] == 0
        assert entry["sent"] == entry["received"] == sum(map(len, payloads)), "a header is nobody's bytes"


def test_the_longest_datagram_with_its_header(stage: Stage) -> None:
    peer = stage.add(DatagramPeer(answers=lambda datagram: [datagram[-3:]]))
    with udp_front(stage, backend("b", peer.address), proxy_protocol_accept=True) as (address, _, _):
        proxy = stage.add(DatagramClient(address))
        header = v2_datagram(CLIENT, HERE)
        payload = bytes(LONGEST - len(header) - 3) + b"end"
        assert proxy.ask(header + payload) == b"end"
        assert peer.received[0][0] == payload
        # Nothing but a header: as long as a datagram can be.
        longest = v2_datagram(CLIENT, HERE, bytes(LONGEST - len(header)))
        assert len(longest) == LONGEST
        proxy.send(longest)
        eventually(lambda: len(peer.received) == 2, "it comes")
        assert peer.received[1][0] == b""


def test_clients_behind_one_proxy_have_sessions_of_their_own(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer()), stage.add(DatagramPeer())
    backends = (backend("one", one.address), backend("two", two.address))
    with udp_front(stage, *backends, proxy_protocol_accept=True) as (address, shuttled, _):
        proxy = stage.add(DatagramClient(address))
        clients = [f"192.0.2.{host}:{port}" for host in (1, 2, 3) for port in (1000, 1001)]
        for turn in range(3):
            for client in clients:
                message = f"{client} {turn}".encode()
                assert proxy.ask(v2_datagram(client, HERE) + message) == message
        sessions = Counter(source for source, _ in one.sources + two.sources)
        assert sum(sessions.values()) == 3 * len(clients)
        by_session = {}
        for peer in (one, two):
            for datagram, source in peer.received:
                by_session.setdefault((peer.port, source), set()).add(datagram.split()[0])
        assert len(by_session) == len(clients) and all(len(names) == 1 for names in by_session.values()), by_session
        # The same client through another proxy is another session, whose answers go there.
        other = stage.add(DatagramClient(address))
        assert other.ask(v2_datagram(clients[0], HERE) + b"there") == b"there"
        assert proxy.hears_nothing(0.1)
        assert statistics(shuttled)["connections"] == len(clients) + 1
        listed = shuttled.admin.get("/v1/connections").expect(200).json["connections"]
        assert sorted(entry["client"] for entry in listed) == sorted([*clients, clients[0]])

    def ended() -> list[str]:
        return sorted(entry["client"] for entry in shuttled.admin.get("/v1/recent").expect(200).json["sessions"])

    eventually(lambda: ended() == sorted([*clients, clients[0]]), lambda: f"those that ended are {ended()}")


def test_local_is_the_proxy_itself(stage: Stage) -> None:
    peer = stage.add(DatagramPeer(answers=lambda datagram: [told(datagram)[4]]))
    fields = {"proxy_protocol_accept": True, "proxy_protocol_send": "v2", "deny": ["192.0.2.0/24"]}
    with udp_front(stage, backend("b", peer.address), **fields) as (address, _, _):
        proxy = stage.add(DatagramClient(address))
        nobody = v2_datagram("0.0.0.0:1", HERE)
        for header in (v2_of(0x20, 0), v2_of(0x20, 0x12, bytes(12)), v2_of(0x21, 0x32, bytes(216)), v2_of(0x21, 0), nobody):
            assert proxy.ask(header + b"hello") == b"hello"
            own = proxy.socket.getsockname()
            assert told(peer.received[-1][0])[:4] == (own[0], own[1], "127.0.0.1", port_of(address))


def test_lists_and_the_hash_go_by_the_client_of_the_header(stage: Stage) -> None:
    one, two = stage.add(DatagramPeer(answers=named("one"))), stage.add(DatagramPeer(answers=named("two")))
    backends = (backend("one", one.address), backend("two", two.address))
    fields = {"proxy_protocol_accept": True, "balance": "HASH", "allow": ["192.0.2.0/24"], "deny": ["192.0.2.78"]}
    with udp_front(stage, *backends, **fields) as (address, shuttled, configuration):
        proxies = [stage.add(DatagramClient(address, f"127.0.0.{number}")) for number in (1, 2, 3)]
        served = {}
        for host in range(1, 30):
            header = v2_datagram(f"192.0.2.{host}:{host}", HERE)
            served[host] = {proxy.ask(header + b"who") for proxy in proxies}
        assert all(len(names) == 1 for names in served.values()), "one host, one backend, whoever sends for it"
        assert {name for names in served.values() for name in names} == {b"one", b"two"}
        for client in (OTHER, "198.51.100.1:1"):
            proxies[0].send(v2_datagram(client, HERE) + b"who")
        eventually(lambda: statistics(shuttled)["denied"] == 2, "both are denied")
        assert statistics(shuttled)["preread_failures"] == 0 and proxies[0].hears_nothing(0.1)
        # Whether the proxy itself may come in nobody asks.
        shuttled.admin.put("/dns", {**configuration, "deny": ["127.0.0.0/8"]}).expect(200)
        assert proxies[0].ask(v2_datagram(OTHER, HERE) + b"who") in (b"one", b"two")


def test_a_rate_of_each_client_goes_by_the_header(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    limit = {"per_second": 1, "burst": 2, "per": "client"}
    with udp_front(stage, backend("b", peer.address), proxy_protocol_accept=True, rate_limit=limit) as (address, shuttled, _):
        proxy = stage.add(DatagramClient(address))
        # A session for each port. One host has its two, and however slow this goes no more than one a second besides.
        for port in range(1000, 1050):
            proxy.send(v2_datagram(f"192.0.2.1:{port}", HERE) + b"x")
        refused = lambda: statistics(shuttled)["refused_by_rate"]
        eventually(lambda: refused() + len(peer.received) == 50, "each was let in or refused")
        assert refused() > 0 and len(peer.received) >= 2
        for host in range(2, 10):
            proxy.socket.settimeout(10)
            proxy.send(v2_datagram(f"192.0.2.{host}:1", HERE) + b"other %d" % host)
            while proxy.receive() != b"other %d" % host:
                pass


@pytest.mark.parametrize(
    "datagram",
    [
        b"", b"hello", v1(CLIENT, HERE) + b"hello", b"PROXY UNKNOWN\r\nhello", v2_datagram(CLIENT, HERE)[:-1],
        v2_datagram(CLIENT, HERE)[:13], v2_of(0x22, 0x12, bytes(12)), v2_of(0x21, 0x42, bytes(12)),
        v2_of(0x21, 0x22, bytes(12)), b"\0" + v2_datagram(CLIENT, HERE),
    ],
    ids=["empty", "none", "v1", "v1-unknown", "cut", "cut-early", "command", "family", "too-short", "late"],
)  # fmt: skip
def test_without_a_header_a_datagram_is_dropped_and_counted(stage: Stage, datagram: bytes) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address), proxy_protocol_accept=True) as (address, shuttled, _):
        proxy = stage.add(DatagramClient(address))
        header = v2_datagram(CLIENT, HERE)
        assert proxy.ask(header + b"before") == b"before"
        proxy.send(datagram)
        dropped(shuttled, 1)
        assert proxy.ask(header + b"after") == b"after", "it costs nobody anything"
        assert [content for content, _ in peer.received] == [b"before", b"after"]
        entry = statistics(shuttled)
        assert entry["errors"] == 0 and entry["connections"] == 1


def test_whatever_comes_is_taken_or_dropped(stage: Stage) -> None:
    """Random bytes, headers with random faults, of every length, in bursts that the sockets hold."""
    peer = stage.add(DatagramPeer(answers=lambda _: []))
    with udp_front(stage, backend("b", peer.address), proxy_protocol_accept=True, proxy_protocol_send="v2") as (address, shuttled, _):
        source = random.Random(1705)
        senders = [stage.add(DatagramClient(address)) for _ in range(4)]
        seeds = [v2_datagram(CLIENT, HERE), v2_datagram(IPV6_CLIENT, IPV6_HERE), v2_of(0x20, 0), v2_datagram(CLIENT, HERE, EXTRAS)]
        count = 0
        for _ in range(60):
            for _ in range(25):
                datagram = bytearray(source.choice([b"", *seeds]))
                for _ in range(source.choice([0, 0, 1, 2])):
                    if datagram:
                        datagram[source.randrange(len(datagram))] = source.randrange(256)
                datagram += source.randbytes(source.choice([0, 1, 20, 200, 3000]))
                if source.random() < 0.3:
                    del datagram[source.randrange(len(datagram) + 1) :]
                source.choice(senders).send(bytes(datagram))
                count += 1

            def counted() -> int:
                entry = statistics(shuttled)
                return int(entry["datagrams_sent"] + entry["datagrams_dropped"])

            eventually(lambda: counted() == count, lambda: f"{counted()} of {count} are accounted for")
        entry = statistics(shuttled)
        assert entry["datagrams_dropped"] == entry["preread_failures"] > 100 and entry["datagrams_sent"] > 100
        eventually(lambda: len(peer.received) == entry["datagrams_sent"], "what was sent has come")


@pytest.mark.parametrize(("size", "count"), [(100, 60), (1200, 50), (28, 64)])
def test_datagrams_that_come_joined_have_a_header_each(stage: Stage, size: int, count: int) -> None:
    """The kernel joins what a proxy sends in a row, whoever it is for."""
    peer = stage.add(DatagramPeer(answers=lambda _: []))
    with udp_front(stage, backend("b", peer.address), rings=1, proxy_protocol_accept=True) as (address, shuttled, _):
        proxy = stage.add(DatagramClient(address))
        headers = [v2_datagram(f"192.0.2.{number % 3}:{1000 + number % 2}", HERE) for number in range(count)]
        payloads = [bytes([number]) * (size - 28) for number in range(count)]
        content = b"".join(header + payload for header, payload in zip(headers, payloads, strict=True))
        proxy.socket.sendmsg([content], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))])
        eventually(lambda: len(peer.received) == count, "all of them come")
        assert Counter(datagram for datagram, _ in peer.received) == Counter(payloads)
        assert statistics(shuttled)["connections"] == 6 == len(set(peer.sources))
        assert statistics(shuttled)["datagrams_dropped"] == 0


def test_headers_are_taken_from_the_answer_to_a_change_on(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    with udp_front(stage, backend("b", peer.address)) as (address, shuttled, configuration):
        client = stage.add(DatagramClient(address))
        header = v2_datagram(CLIENT, HERE)
        assert client.ask(header + b"raw") == header + b"raw", "nobody takes it for a header"
        shuttled.admin.put("/dns", {**configuration, "proxy_protocol_accept": True}).expect(200)
        assert client.ask(header + b"told") == b"told"
        client.send(b"nothing")
        dropped(shuttled, 1)
        shuttled.admin.put("/dns", configuration).expect(200)
        assert client.ask(b"plain") == b"plain"
        assert len(set(peer.sources)) == 2, "the client itself, before and after, and whom it has told of"


def test_a_real_proxy_tells_of_its_clients(stage: Stage) -> None:
    """dnsdist puts a header before each question."""
    peer = stage.add(DatagramPeer(answers=lambda datagram: [answer(told(datagram)[4])]))
    fields = {"proxy_protocol_accept": True, "proxy_protocol_send": "v2", "udp_responses": 1}
    with udp_front(stage, backend("b", peer.address), **fields) as (address, shuttled, _):
        proxy = stage.add(Dnsdist(stage.directory / "dnsdist", backend=address))
        for source in ("127.0.0.77", "127.0.0.78"):
            client = stage.add(DatagramClient(proxy.address, source))
            assert client.ask(query("www.test"))[:2] == query("www.test")[:2]
            conveyed = told(peer.received[-1][0])
            assert conveyed[:2] == client.socket.getsockname() and conveyed[3] == port_of(proxy.address)
        eventually(lambda: statistics(shuttled)["active"] == 0, "each has had its answer")
        # dnsdist may ask by itself as well, whether its server is there.
        entry = statistics(shuttled)
        assert entry["preread_failures"] == 0 and entry["connections"] >= 2


def answer(question: bytes) -> bytes:
    """The name does not exist."""
    return question[:2] + b"\x81\x83" + question[4:]


def test_what_is_read_first_of_datagrams_takes_no_time_and_no_limit(stage: Stage) -> None:
    shuttled = stage.shuttled([])
    for field, value in (("preread_timeout", 100), ("preread_limit", 1000)):
        configuration = udp("dns", free_address(), proxy_protocol_accept=True, **{field: value})
        problem = shuttled.admin.put("/dns", configuration).problem(400)
        problem.points_to(f"/{field}").says(field, '"network" is "udp"', "a header of the PROXY protocol", "leave it out")
