"""Who comes through another proxy: `proxy_protocol_accept`, headers of v1 and v2, in whatever pieces, and what is none."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import pytest

from harness.peers import Named
from harness.ports import free_address
from harness.proxy_protocol import haproxy, nginx_stream, v1, v2, v2_of
from harness.shuttled import backend, service
from harness.stage import Stage, read_line
from harness.streams import End, finish, random_bytes, read_exactly, read_to_end, reset
from harness.wait import eventually
from test_proxy_send import Told, own_address

CLIENT = "192.0.2.77:56324"
HERE = "203.0.113.7:443"
IPV6_CLIENT, IPV6_HERE = "[2001:db8::77]:56324", "[2001:db8::1]:443"
EXTRAS = struct.pack(">BH", 4, 300) + bytes(300) + struct.pack(">BHI", 3, 4, 0)


class Front:
    """A service that wants headers, before a backend that is told what they say."""

    def __init__(self, stage: Stage, **fields: Any) -> None:
        self.stage = stage
        self.peer = stage.add(Told())
        self.address = free_address()
        self.fields = {"proxy_protocol_accept": True, "proxy_protocol_send": "v1", **fields}
        self.shuttled = stage.shuttled([self.entry()])

    def entry(self, **fields: Any) -> dict[str, Any]:
        return service("web", self.address, [backend("b", self.peer.address)], **{**self.fields, **fields})

    def connect(self) -> socket.socket:
        return self.stage.connect(self.address)

    def counts(self, failures: int, timeouts: int) -> None:
        def counted() -> tuple[int, int]:
            entry = self.shuttled.admin.service("web")
            return entry["preread_failures"], entry["preread_timeouts"]

        eventually(lambda: counted() == (failures, timeouts), lambda: f"failures and timeouts are {counted()}")


@pytest.mark.parametrize(
    "header, told",
    [
        (v1(CLIENT, HERE), CLIENT),
        (v2(CLIENT, HERE), CLIENT),
        (v2(CLIENT, HERE, EXTRAS), CLIENT),
        (v1(IPV6_CLIENT, IPV6_HERE), "2001:db8::77:56324"),
        (v2(IPV6_CLIENT, IPV6_HERE), "2001:db8::77:56324"),
    ],
)
def test_the_address_in_a_header_is_the_clients(stage: Stage, header: bytes, told: str) -> None:
    front = Front(stage)
    together, apart, silent = front.connect(), front.connect(), front.connect()
    together.sendall(header + b"ping")
    assert read_exactly(together, 10) == b"hello\nping"
    for byte in header + b"pong":
        apart.sendall(bytes([byte]))
    assert read_exactly(apart, 10) == b"hello\npong", "a byte at a time"
    silent.sendall(header)
    assert read_line(silent) == "hello", "the server may speak first"
    assert front.peer.headers == [("v1", told)] * 3
    front.counts(0, 0)


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2_of(0x20, 0), v2_of(0x20, 0x11, bytes(12)), v2_of(0x21, 0x31, bytes(216))])
def test_a_header_without_an_address_leaves_the_connections_own(stage: Stage, header: bytes) -> None:
    front = Front(stage)
    client = front.connect()
    client.sendall(header)
    assert read_line(client) == "hello"
    assert front.peer.headers == [("v1", own_address(client))]


def test_what_follows_a_header_is_not_touched(stage: Stage) -> None:
    front = Front(stage)
    data = random_bytes("behind", 3_000_000)
    client = front.connect()
    client.settimeout(60)
    # The beginning of the stream looks like another header.
    head = v2(CLIENT, HERE)
    client.sendall(head + head + data[:100_000])
    got = read_exactly(client, 6 + len(head) + 100_000)
    assert got == b"hello\n" + head + data[:100_000]
    for start in range(100_000, len(data), 100_000):
        client.sendall(data[start : start + 100_000])
        assert read_exactly(client, 100_000) == data[start : start + 100_000]
    finish(client)
    assert read_to_end(client).end is End.FINISHED
    front.shuttled.wait_idle()
    assert front.shuttled.admin.service("web")["sent"] == len(data) + len(head), "the header is not counted"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", v2_of(0x22, 0), b"PROXY " + b"x" * 200, v2_of(0x20, 0, bytes(20_000))])
def test_whoever_sends_no_header_is_closed(stage: Stage, said: bytes) -> None:
    front = Front(stage, preread_timeout=60_000)
    client = front.connect()
    client.sendall(said)
    began = time.monotonic()
    assert read_to_end(client).data == b""
    assert time.monotonic() - began < 5, "at once, not at the timeout"
    front.counts(1, 0)
    assert front.peer.accepted == 0, "no backend was dialled"


def test_a_header_must_come_in_time(stage: Stage) -> None:
    front = Front(stage, preread_timeout=300)
    silent, slow, leaving, gone = (front.connect() for _ in range(4))
    slow.sendall(v2(CLIENT, HERE)[:-1])
    leaving.sendall(b"PROXY TC")
    finish(leaving)
    gone.sendall(b"PROXY TC")
    reset(gone)
    stage.connect(front.address).close()
    began = time.monotonic()
    for client in (silent, slow, leaving):
        assert read_to_end(client).data == b""
    assert time.monotonic() - began < 5
    # Who left in the middle is a failure, who came and went without a word is none.
    front.counts(1, 2)
    assert front.peer.accepted == 0
    problem = front.shuttled.admin.put("/web", front.entry(proxy_protocol_accept=False)).problem(400)
    problem.points_to("/preread_timeout").says("nothing is read before a backend is chosen", "proxy_protocol_accept")


def test_many_slow_ones_leave_the_others_enough(stage: Stage) -> None:
    """More of them than may hold buffers at a time on one ring; who comes then is served all the same."""
    front = Front(stage, preread_timeout=60_000)
    slow = [front.connect() for _ in range(2500)]
    for client in slow:
        client.sendall(b"PROXY ")
    eventually(lambda: front.shuttled.admin.service("web")["preread_timeouts"] > 0, "the oldest are closed")
    data = random_bytes("others", 1_000_000)
    client = front.connect()
    client.sendall(v1(CLIENT, HERE) + data[:10_000])
    assert read_exactly(client, 10_006) == b"hello\n" + data[:10_000]


def test_the_conveyed_address_counts_for_hash_and_limits(stage: Stage) -> None:
    peers = [stage.add(Named(f"p{number}")) for number in range(4)]
    address = free_address()
    backends = [backend(peer.name, peer.address) for peer in peers]
    shuttled = stage.shuttled(
        [service("web", address, backends, balance="HASH", proxy_protocol_accept=True, max_connections_per_client=2)]
    )

    def reached(host: str) -> str:
        client = stage.connect(address)
        client.sendall(v2(f"{host}:1000", HERE))
        line = read_line(client)
        client.close()
        return line

    hosts = [f"198.51.100.{number}" for number in range(1, 40)]
    first = {host: reached(host) for host in hosts}
    assert len(set(first.values())) == 4, "by what is conveyed, not by where the connection comes from"
    shuttled.wait_idle()
    assert {host: reached(host) for host in hosts} == first
    shuttled.wait_idle()
    for _ in range(3):
        stage.connect(address).sendall(v1(CLIENT, HERE))
    eventually(lambda: shuttled.admin.service("web")["refused_per_client"] == 1, "the third one is refused")
    other = stage.connect(address)
    other.sendall(v1("192.0.2.78:1", HERE))
    assert read_line(other).startswith("p"), "another client has its own share"


def test_a_change_is_for_the_next_connection(stage: Stage) -> None:
    front = Front(stage)
    waiting = front.connect()
    eventually(lambda: front.shuttled.admin.service("web")["connections"] == 1, "it was accepted")
    front.shuttled.admin.put("/web", front.entry(proxy_protocol_accept=False)).expect(200)
    client = front.connect()
    assert read_line(client) == "hello"
    waiting.sendall(v1(CLIENT, HERE))
    assert read_line(waiting) == "hello", "who came before is read from as it was then"
    assert front.peer.headers == [("v1", own_address(client)), ("v1", CLIENT)]


# Others who speak it


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_sends_it(stage: Stage, option: str) -> None:
    front = Front(stage)
    relay = haproxy(stage, "relay", f"listen l\n bind {{address}}\n server s {front.address} {option} check inter 100")
    client = stage.connect(relay.address)
    client.sendall(b"ping")
    assert read_exactly(client, 10) == b"hello\nping"
    eventually(lambda: ("v1", own_address(client)) in front.peer.headers, lambda: f"it was told {front.peer.headers}")
    front.counts(0, 0)


def test_nginx_sends_it(stage: Stage) -> None:
    front = Front(stage)
    relay = nginx_stream(
        stage, "relay", f"server {{ listen {{address}}; proxy_pass {front.address}; proxy_protocol on; }}"
    )
    client = stage.connect(relay.address)
    client.sendall(b"ping")
    assert read_exactly(client, 10) == b"hello\nping"
    eventually(lambda: ("v1", own_address(client)) in front.peer.headers, lambda: f"it was told {front.peer.headers}")


def test_two_shuttleds_in_a_row(stage: Stage) -> None:
    back = Front(stage)
    address = free_address()
    stage.shuttled([service("front", address, [backend("b", back.address)], proxy_protocol_send="v2")])
    client = stage.connect(address)
    client.sendall(b"ping")
    assert read_exactly(client, 10) == b"hello\nping"
    assert back.peer.headers == [("v1", own_address(client))]
