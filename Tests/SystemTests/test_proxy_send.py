"""Backends are told where their clients come from: `proxy_protocol_send`, of a service and of a backend."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.peers import Refusing, Scripted
from harness.ports import free_address, free_port
from harness.proxy_protocol import haproxy, nginx_stream, read_header
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import finish, read_exactly, read_to_end
from harness.wait import eventually


class Told(Scripted):
    """Speaks first once it has read a header, then echoes; `headers` is what it was told, in order.

    Who says nothing at all is nobody: a check that was under way when shuttled was stopped.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.headers: list[tuple[str, str | None]] = []
        super().__init__(self.serve, address)

    def serve(self, connection: socket.socket) -> None:
        if not connection.recv(1, socket.MSG_PEEK):
            return
        self.headers.append(read_header(connection))
        connection.sendall(b"hello\n")
        while data := connection.recv(65_536):
            connection.sendall(data)


def own_address(connection: socket.socket) -> str:
    host, port = connection.getsockname()[:2]
    return f"{host}:{port}"


def front(stage: Stage, peers: dict[str, Any], host: str = "127.0.0.1", **fields: Any) -> tuple[str, Shuttled]:
    address = f"[{host}]:{free_port()}" if ":" in host else free_address(host)
    shuttled = stage.shuttled([service("web", address, [backend(n, p.address) for n, p in peers.items()], **fields)])
    return address, shuttled


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_backend_is_told_before_anything_else(stage: Stage, version: str, host: str) -> None:
    peer = stage.add(Told())
    address, shuttled = front(stage, {"b": peer}, host, proxy_protocol_send=version)
    silent = stage.connect(address)
    assert read_line(silent) == "hello", "the server speaks first"
    talking = stage.connect(address)
    talking.sendall(b"x" * 100_000)
    assert read_exactly(talking, 100_006) == b"hello\n" + b"x" * 100_000
    assert peer.headers == [(version, own_address(silent)), (version, own_address(talking))]
    assert shuttled.admin.config()[0]["proxy_protocol_send"] == version
    for client in (silent, talking):
        finish(client)
        assert read_to_end(client).data == b""
    shuttled.wait_idle()
    entry = shuttled.admin.service("web")
    assert (entry["sent"], entry["received"]) == (100_000, 100_012), "headers are no bytes of clients"


def test_a_backend_may_be_told_otherwise_than_the_service_says(stage: Stage) -> None:
    one, two = stage.add(Told()), stage.add(Told())
    backends = [backend("one", one.address), backend("two", two.address, proxy_protocol_send="v1")]
    address = free_address()
    stage.shuttled([service("web", address, backends, proxy_protocol_send="v2")])
    for _ in range(4):
        read_line(stage.connect(address))
    assert [version for version, _ in one.headers + two.headers] == ["v2", "v2", "v1", "v1"]


def test_a_further_try_is_told_too(stage: Stage) -> None:
    refusing = [stage.add(Refusing()) for _ in range(2)]
    peer = stage.add(Told())
    peers = {"one": refusing[0], "two": refusing[1], "three": peer}
    address, _ = front(stage, peers, proxy_protocol_send="v2", balance="LC")
    client = stage.connect(address)
    client.sendall(b"GET\n")
    assert read_exactly(client, 10) == b"hello\nGET\n"
    assert peer.headers == [("v2", own_address(client))]


def test_a_change_is_for_the_next_connection(stage: Stage) -> None:
    peer = stage.add(Told())
    address, shuttled = front(stage, {"b": peer}, proxy_protocol_send="v1")
    read_line(stage.connect(address))
    shuttled.admin.put("/web", service("web", address, [backend("b", peer.address)], proxy_protocol_send="v2")).expect(200)
    read_line(stage.connect(address))
    assert [version for version, _ in peer.headers] == ["v1", "v2"]


@pytest.mark.parametrize("value", ["v3", "V1", "", True, 1, None])
def test_another_version_is_refused(stage: Stage, value: Any) -> None:
    address, shuttled = front(stage, {"b": stage.add(Told())})
    entry = service("web", address, [backend("b", "127.0.0.1:1")])
    problem = shuttled.admin.put("/web", {**entry, "proxy_protocol_send": value}).problem(400)
    problem.points_to("/proxy_protocol_send").says('"v1" or "v2"')
    entry["backends"][0]["proxy_protocol_send"] = value
    problem = shuttled.admin.put("/web", entry).problem(400)
    problem.points_to("/backends/0/proxy_protocol_send").says('"v1" or "v2"')


# Checks


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_check_tells_that_it_is_nobodys(stage: Stage, version: str) -> None:
    peer = stage.add(Told())
    backends = [backend("b", peer.address, check_address=peer.address)]
    check = {"type": "tcp_expect", "send": "PING\r\n", "expect": "hello\nPING"}
    web = service("web", free_address(), backends, check_interval=50, check=check, proxy_protocol_send=version)
    shuttled = stage.shuttled([web])
    eventually(lambda: shuttled.admin.backend("web", "b").get("check_status") == "success", "it is checked")
    assert set(peer.headers) == {(version, None)}


def test_a_check_of_another_address_tells_nothing(stage: Stage) -> None:
    peer, port = stage.add(Told()), stage.add(Scripted(lambda connection: said.append(connection.recv(100))))
    said: list[bytes] = []
    backends = [backend("b", peer.address, check_address=port.address)]
    check = {"type": "tcp_expect", "send": "PING", "expect": "PONG"}
    stage.shuttled([service("web", free_address(), backends, check_interval=50, check=check, proxy_protocol_send="v2")])
    eventually(lambda: bool(said), "it is checked")
    assert said[0] == b"PING" and peer.headers == []


# Others who speak it


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_takes_it(stage: Stage, version: str) -> None:
    """haproxy tells it on, so that the address has gone through its reader and ours."""
    peer = stage.add(Told())
    relay = haproxy(stage, "relay", f"listen l\n bind {{address}} accept-proxy\n server s {peer.address} send-proxy")
    address, _ = front(stage, {"b": relay}, proxy_protocol_send=version)
    client = stage.connect(address)
    client.sendall(b"ping")
    assert read_exactly(client, 10) == b"hello\nping"
    eventually(lambda: ("v1", own_address(client)) in peer.headers, lambda: f"it was told {peer.headers}")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_takes_it(stage: Stage, version: str) -> None:
    body = "server { listen {address} proxy_protocol; return '$proxy_protocol_addr:$proxy_protocol_port\\n'; }"
    server = nginx_stream(stage, "told", body)
    backends = [backend("b", server.address, check_address=server.address)]
    address = free_address()
    shuttled = stage.shuttled([service("web", address, backends, check_interval=50, proxy_protocol_send=version)])
    client = stage.connect(address)
    assert read_to_end(client).data.decode() == own_address(client) + "\n"
    eventually(lambda: shuttled.admin.backend("web", "b").get("check_status") == "success", "checks go on")


def test_nginx_tells_it_on(stage: Stage) -> None:
    peer = stage.add(Told())
    relay = nginx_stream(
        stage,
        "relay",
        "set_real_ip_from 127.0.0.1; "
        f"server {{ listen {{address}} proxy_protocol; proxy_pass {peer.address}; proxy_protocol on; }}",
    )
    address, _ = front(stage, {"b": relay}, proxy_protocol_send="v2")
    client = stage.connect(address)
    assert read_line(client) == "hello"
    eventually(lambda: ("v1", own_address(client)) in peer.headers, lambda: f"it was told {peer.headers}")
