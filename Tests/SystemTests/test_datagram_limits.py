"""UDP services with limits of bandwidth and of rate, and the PROXY protocol before each datagram."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time

import pytest
from harness.datagrams import LONGEST, DatagramClient, DatagramPeer, bound
from harness.dnsdist import Dnsdist
from harness.ports import free_address, port_of
from harness.proxy_protocol import SIGNATURE
from harness.shuttled import backend
from harness.stage import Stage
from harness.wait import eventually
from test_datagrams import query, statistics, udp, udp_front

#: What passes at once after a silence: 100 ms of the rate, 16 KiB at least, and the datagram that goes beyond.
AHEAD_BYTES = 16_384 + 1200
#: socket(7); Python does not name it.
SO_TIMESTAMPNS = 35


def offer(client: DatagramClient, bytes_per_second: int, seconds: float) -> float:
    """Sends datagrams of 1,200 bytes at a steady pace; the seconds that it took."""
    start, count = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        if count * 1200 < passed * bytes_per_second:
            client.send(bytes(1200))
            count += 1
        else:
            time.sleep(0.001)
    return time.monotonic() - start


@pytest.mark.parametrize("field", ["bandwidth_limit", "service_bandwidth_limit"])
def test_datagrams_beyond_the_upload_limit_are_dropped_and_counted(stage: Stage, field: str) -> None:
    rate = 100_000
    peer = stage.add(DatagramPeer(answers=lambda _: []))
    with udp_front(stage, backend("b", peer.address), **{field: {"upload": rate}}) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        seconds = offer(client, 4 * rate, 2.0)
        eventually(
            lambda: statistics(shuttled)["datagrams_sent"] == len(peer.received), "what was sent has come", deadline=10
        )
        passed = sum(len(datagram) for datagram, _ in peer.received)
        # How much less it may be depends on the machine; that nobody is dropped whose turn has come is judged below.
        assert 2 * AHEAD_BYTES <= passed <= rate * seconds + AHEAD_BYTES, f"{passed} in {seconds} s"
        entry = statistics(shuttled)
        assert entry["sent"] == passed and entry["datagrams_dropped"] == entry["datagrams_limited"] > 100
        assert entry["active"] == 1 and entry["errors"] == 0
        # Without the limit the session that is there goes on at once.
        shuttled.admin.put("/dns", udp("dns", address, backend("b", peer.address))).expect(200)
        before = len(peer.received)
        for _ in range(50):
            client.send(bytes(1200))
        eventually(lambda: len(peer.received) == before + 50, "without a limit everything passes")


@pytest.mark.parametrize("field", ["bandwidth_limit", "service_bandwidth_limit"])
def test_what_passes_is_spread_evenly(stage: Stage, field: str) -> None:
    """No burst beyond what may be ahead, and no datagram dropped whose turn has come.

    Judged by when the kernel put each datagram into the backend's socket, which is when shuttled sent it. However slow the
    machine is: a turn of shuttled decides by one look at its clock, before its sends, so what two turns may have ahead is the
    most that a stall can push together; and a datagram that was sent when its predecessor was paid for is not dropped.
    """
    rate, size = 100_000, 1200
    ahead = AHEAD_BYTES
    backend_socket = stage.add(bound())
    backend_socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    address_of_backend = f"127.0.0.1:{backend_socket.getsockname()[1]}"
    with udp_front(stage, backend("b", address_of_backend), rings=1, **{field: {"upload": rate}}) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        sent_at: list[int] = []
        passed: list[tuple[int, int]] = []  # the datagram's number, and when it came
        begin = time.monotonic()
        while time.monotonic() - begin < 2 or statistics(shuttled)["datagrams_limited"] < 100:
            assert time.monotonic() - begin < 60, "this machine does not come to send faster than the limit"
            # As many as every socket on the way has room for, half a second of the rate, and no more before all of them
            # have been looked at.
            for _ in range(50):
                sent_at.append(time.time_ns())
                client.send(len(sent_at).to_bytes(4, "big") + bytes(size - 4))

            def looked_at() -> int:
                entry = statistics(shuttled)
                return int(entry["datagrams_sent"] + entry["datagrams_dropped"])

            eventually(lambda: looked_at() == len(sent_at), "each is sent on or dropped")
            passed += drained(backend_socket)
        entry = statistics(shuttled)
        assert entry["datagrams_dropped"] == entry["datagrams_limited"], entry
        assert len(passed) == entry["datagrams_sent"] > 2 * ahead // size, "more than what may be ahead has come through"
        assert [number for number, _ in passed] == sorted(number for number, _ in passed)

    # No window, wherever it begins and ends, has more than its time allows and what two turns may have ahead.
    before, lowest = 0.0, 0.0
    start = passed[0][1]
    for count, (number, came) in enumerate(passed):
        allowed = (came - start) * rate / 1e9
        lowest = min(lowest, before - allowed)
        before = (count + 1) * size
        assert before - allowed - lowest <= 2 * ahead, f"a burst up to datagram {number}"

    # Its predecessor was paid for after the time that it takes at this rate; then whoever comes next passes. A few ms more, for
    # clocks that count whole ms.
    paid_after = size * 1_000_000_000 // rate + 5_000_000
    for (number, came), (following, _) in zip(passed, passed[1:]):
        late = [other for other in range(number + 1, following) if sent_at[other - 1] > came + paid_after]
        assert not late, f"datagrams {late} were dropped long after {number} had passed"


def drained(receiver: socket.socket) -> list[tuple[int, int]]:
    """The number of each datagram that waits, and when the kernel put it there, in ns."""
    found = []
    receiver.setblocking(False)
    while True:
        try:
            content, controls, _, _ = receiver.recvmsg(2000, 100)
        except BlockingIOError:
            return found
        seconds, nanoseconds = next(
            struct.unpack("@qq", data) for level, kind, data in controls if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS
        )
        found.append((int.from_bytes(content[:4], "big"), seconds * 1_000_000_000 + nanoseconds))


def test_answers_beyond_the_download_limit_are_dropped_and_counted(stage: Stage) -> None:
    rate = 60_000
    peer = stage.add(DatagramPeer(answers=lambda _: [bytes(1200)] * 4))
    with udp_front(stage, backend("b", peer.address), bandwidth_limit={"download": rate}) as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        seconds = offer(client, rate, 2.0)
        received = 0
        while not client.hears_nothing(0.2):
            received += 1200
        assert 2 * AHEAD_BYTES <= received <= rate * (seconds + 0.3) + AHEAD_BYTES, received
        entry = statistics(shuttled)
        assert entry["datagrams_limited"] == entry["datagrams_dropped"] > 100
        assert len(peer.received) == entry["datagrams_sent"], "what clients send is not limited"


def test_new_sessions_come_in_at_their_rate(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    limit = {"per_second": 1, "burst": 5, "per": "client"}
    with udp_front(stage, backend("b", peer.address), rate_limit=limit) as (address, shuttled, _):
        clients = [stage.add(DatagramClient(address)) for _ in range(20)]
        served = [client for client in clients if not client_is_dropped(client)]
        assert 5 <= len(served) < 20
        entry = statistics(shuttled)
        assert entry["refused_by_rate"] == entry["datagrams_dropped"] == 20 - len(served)
        assert entry["connections"] == len(served)
        # Who has a session goes on, and another address has a rate of its own.
        for client in served:
            assert client.ask(b"again") == b"again"
        other = stage.add(DatagramClient(address, "127.0.0.2"))
        assert other.ask(b"hello") == b"hello"


def client_is_dropped(client: DatagramClient) -> bool:
    client.send(b"hello")
    return client.hears_nothing(0.1)


# The PROXY protocol


def told(datagram: bytes) -> tuple[str, int, str, int, bytes]:
    """The client, what it has written to, and what: of a header for datagrams."""
    assert datagram[:12] == SIGNATURE, datagram[:40]
    command, family, length = struct.unpack(">BBH", datagram[12:16])
    assert command == 0x21 and family in (0x12, 0x22)
    size = 4 if family == 0x12 else 16
    assert length == 2 * size + 4
    content = datagram[16 : 16 + length]
    source, destination = (str(ipaddress.ip_address(content[i * size : (i + 1) * size])) for i in (0, 1))
    ports = struct.unpack(">HH", content[2 * size :])
    return source, ports[0], destination, ports[1], datagram[16 + length :]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "any"])
def test_each_datagram_says_whose_it_is(stage: Stage, host: str) -> None:
    """Also where the service listens on all addresses: the one that the client has written to is told."""
    peer = stage.add(DatagramPeer(answers=lambda datagram: [datagram[-2:]]))
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1" if host == "::1" else "127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"any": f":{port}", "::1": f"[::1]:{port}"}.get(host, f"{host}:{port}")
    shuttled = stage.shuttled([], rings=2)
    configuration = udp("dns", address, backend("b", peer.address), proxy_protocol_send="v2")
    shuttled.admin.put("/dns", configuration).expect(200)
    for asked in ["::1"] if host == "::1" else ["127.0.0.1"] if host != "any" else ["127.0.0.1", "127.0.0.9", "::1"]:
        client = stage.add(DatagramClient(f"[{asked}]:{port}" if ":" in asked else f"{asked}:{port}"))
        for payload in (b"", b"a1", bytes(1400) + b"zz"):
            client.send(payload)
            assert client.receive() == (payload or peer.received[-1][0])[-2:]
            own = client.socket.getsockname()
            assert told(peer.received[-1][0]) == (own[0], own[1], asked, port, payload)
    entry = statistics(shuttled)
    assert entry["sent"] == sum(len(told(datagram)[4]) for datagram, _ in peer.received), "a header is nobody's bytes"
    shuttled.admin.delete("/dns").expect(200)


def test_a_datagram_without_room_for_the_header_is_dropped(stage: Stage) -> None:
    peer = stage.add(DatagramPeer(answers=lambda datagram: [datagram[-1:]]))
    with udp_front(stage, backend("b", peer.address), proxy_protocol_send="v2") as (address, shuttled, _):
        client = stage.add(DatagramClient(address))
        assert client.ask(bytes(LONGEST - 28)) == b"\0"
        client.send(bytes(LONGEST - 27))
        eventually(lambda: statistics(shuttled)["datagrams_dropped"] == 1, "it is dropped")
        assert client.ask(b"!") == b"!", "and nothing else is"


def test_a_real_dns_server_is_told_of_its_clients(stage: Stage) -> None:
    """dnsdist takes the header from shuttled and answers with the address that it says."""
    server = stage.add(Dnsdist(stage.directory / "dnsdist"))
    with udp_front(stage, backend("b", server.address), proxy_protocol_send="v2", udp_responses=1) as (address, _, _):
        for source in ("127.0.0.77", "127.0.0.78"):
            client = stage.add(DatagramClient(address, source))
            assert socket.inet_ntoa(client.ask(query("www.test"))[-4:]) == source
    # Without the header it answers nothing that comes from where headers do.
    with udp_front(stage, backend("b", server.address)) as (address, _, _):
        client = stage.add(DatagramClient(address, "127.0.0.77"))
        client.send(query("www.test"))
        assert client.hears_nothing()
