"""One port for many names: `routes` by SNI and ALPN to services without an address, TLS untouched."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.peers import Named, Peer, Recorder
from harness.ports import free_address, split
from harness.proxy_protocol import v1
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import finish, read_exactly, read_to_end
from harness.wait import eventually


class TLSNamed(Peer):
    """Completes a handshake, says its name and the protocol that was agreed on, then echoes."""

    def __init__(self, name: str, certificate: tuple[Path, Path]) -> None:
        self.name = name
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.set_alpn_protocols(["h2", "http/1.1", "imap"])
        super().__init__()

    def handle(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secure:
                secure.sendall(f"{self.name} {secure.selected_alpn_protocol()}\n".encode())
                while data := secure.recv(65_536):
                    secure.sendall(data)
        except ssl.SSLError:
            pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("certificate")
    files = home / "certificate.pem", home / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=a.example", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


def pool(name: str, address: str, **fields: Any) -> dict[str, Any]:
    return service(name, "", [backend("b", address)], **fields)


class Gate:
    """A listener with routes to a pool for each name, and a backend of its own that is no TLS server."""

    def __init__(self, stage: Stage, certificate: tuple[Path, Path], *names: str, **fields: Any) -> None:
        self.stage = stage
        self.address = free_address()
        self.own = stage.add(Named("own"))
        self.peers = {name: stage.add(TLSNamed(name, certificate)) for name in names}
        self.pools = [pool(name, peer.address) for name, peer in self.peers.items()]
        self.fields = fields
        self.shuttled: Shuttled | None = None

    def start(self, routes: list[dict[str, Any]], own: bool = True) -> Gate:
        backends = [backend("own", self.own.address)] if own else []
        self.gate = service("gate", self.address, backends, routes=routes, **self.fields)
        self.shuttled = self.stage.shuttled([self.gate, *self.pools])
        return self

    def secure(self, name: str | None, *protocols: str, before: bytes = b"", version: Any = None) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if version:
            context.maximum_version = version
        plain = self.stage.connect(self.address)
        plain.sendall(before)
        return self.stage.add(context.wrap_socket(plain, server_hostname=name))

    def said(self, name: str | None, *protocols: str, **options: Any) -> str:
        return read_line(self.secure(name, *protocols, **options))

    def statistic(self, service_name: str, field: str) -> Any:
        assert self.shuttled
        return self.shuttled.admin.service(service_name)[field]


ROUTES = [
    {"sni": ["a.example", "A2.example."], "service": "a"},
    {"sni": ["*.b.example"], "service": "b"},
    {"sni": ["*.example"], "service": "c"},
    {"sni": ["p.example"], "alpn": ["h2"], "service": "a"},
    {"alpn": ["imap"], "service": "b"},
]


def test_the_name_and_the_protocol_decide(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert gate.said("a.example", version=version) == "a None"
        assert gate.said("A.EXAMPLE", version=version) == "a None"
        assert gate.said("a2.example", version=version) == "a None"
        assert gate.said("x.b.example", "http/1.1", version=version) == "b http/1.1"
        assert gate.said("x.y.b.example", version=version) == "b None", "a wildcard covers several labels"
        assert gate.said("b.example", version=version) == "c None", "and not the name itself"
        assert gate.said("p.example", "h2", version=version) == "a h2"
        assert gate.said("p.example", "http/1.1", version=version) == "c http/1.1"
        assert gate.said("other.test", "imap", version=version) == "b imap"
        assert gate.said(None, "imap", version=version) == "b imap"
    client = gate.secure("a.example")
    read_line(client)
    data = bytes(range(256)) * 4000
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert read_exactly(client, len(data)) == data


def test_who_has_no_route_goes_to_the_services_own_backends(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c", preread_timeout=300).start(ROUTES)
    plain = stage.connect(gate.address)
    plain.sendall(b"GET / HTTP/1.1\r\n")
    assert read_line(plain) == "own"
    assert read_exactly(plain, 16) == b"GET / HTTP/1.1\r\n"
    silent = stage.connect(gate.address)
    assert read_line(silent) == "own", "a client that waits for the server, when its time is over"
    with pytest.raises(ssl.SSLError):
        gate.secure("other.test")
    eventually(lambda: gate.own.accepted == 3, "the hello without a route has come there as well")


def test_without_own_backends_they_are_closed(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES, own=False)
    plain = stage.connect(gate.address)
    plain.sendall(b"GET / HTTP/1.1\r\n")
    assert read_to_end(plain).data == b""
    with pytest.raises((ssl.SSLError, OSError)):
        gate.secure("other.test")
    assert gate.said("a.example") == "a None"


def test_a_session_counts_where_it_is_led_to(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES)
    held = [gate.secure("a.example") for _ in range(3)]
    for client in held:
        read_line(client)
    names = ("connections", "active", "routed")
    assert [gate.statistic("gate", name) for name in names] == [3, 0, 3]
    assert [gate.statistic("a", name) for name in names] == [3, 3, 0]
    assert gate.statistic("a", "sent") > 0 and gate.statistic("gate", "sent") == 0


def test_a_pools_limits_hold_for_what_is_led_to_it(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c")
    gate.pools[0] = pool("a", gate.peers["a"].address, max_connections=1, queue_limit=5)
    gate.start(ROUTES)
    first = gate.secure("a.example")
    read_line(first)
    waiting = stage.connect(gate.address)
    context = ssl._create_unverified_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="a.example").do_handshake()
    waiting.sendall(outgoing.read())
    eventually(lambda: gate.statistic("a", "queued") == 1, "it waits for its place")
    assert gate.said("x.b.example") == "b None", "another pool has its own"
    first.close()
    assert read_exactly(waiting, 3)[:2] == b"\x16\x03", "it is served"


def test_what_of_the_listener_holds_for_whom_it_leads_away(stage: Stage, certificate: tuple[Path, Path]) -> None:
    """Lists and maintenance are asked of all who come, before a byte is read; limits of those who stay."""
    rate = {"per_second": 1, "burst": 1}
    gate = Gate(stage, certificate, "a", "b", "c", max_connections=1, max_connections_per_client=1, rate_limit=rate)
    gate.start(ROUTES)
    held = [gate.secure("a.example") for _ in range(3)]
    for client in held:
        assert read_line(client).startswith("a")
    names = ("refused", "refused_per_client", "refused_by_rate")
    assert [gate.statistic("gate", name) for name in names] == [0, 0, 0]
    # The same pool with limits of its own: of those who are led to it.
    limited = {**gate.pools[0], "max_connections": 3}
    gate.shuttled.admin.put("/a", limited).expect(200)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gate.secure("a.example")
    assert gate.statistic("a", "refused") == 1
    gate.shuttled.admin.put("/a", gate.pools[0]).expect(200)
    for field, name in (({"deny": ["127.0.0.0/8"]}, "denied"), ({"maintenance": True}, "refused")):
        gate.shuttled.admin.put("/gate", {**gate.gate, **field}).expect(200)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            gate.secure("a.example")
        assert gate.statistic("gate", name) == 1 and gate.statistic("a", "connections") == 4
    gate.shuttled.admin.put("/gate", gate.gate).expect(200)
    assert read_line(gate.secure("a.example")).startswith("a")


def test_a_hello_in_many_pieces(stage: Stage) -> None:
    """Cut into segments and records, and larger than a segment: it arrives as it was sent."""
    recorder = stage.add(Recorder())
    address = free_address()
    stage.shuttled(
        [service("gate", address, routes=[{"sni": ["pq.example"], "service": "a"}]), pool("a", recorder.address)]
    )
    # A key share of X25519MLKEM768 (0x11EC) has 1216 bytes.
    share = b"\x11\xec" + (1216).to_bytes(2, "big") + bytes(1216)
    name = b"pq.example"
    extensions = b"".join(
        kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content
        for kind, content in [
            (51, len(share).to_bytes(2, "big") + share),
            (21, bytes(400)),
            (0, (len(name) + 3).to_bytes(2, "big") + b"\0" + len(name).to_bytes(2, "big") + name),
        ]
    )
    body = b"\x03\x03" + bytes(32) + b"\x20" + bytes(32) + b"\x00\x02\x13\x01\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    assert len(message) > 1460
    for number, length in enumerate((16_384, 1000, 7)):
        pieces = [message[start : start + length] for start in range(0, len(message), length)]
        hello = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces) + b"and more"
        client = stage.connect(address)
        for start in range(0, len(hello), 601):
            client.sendall(hello[start : start + 601])
        finish(client)
        recorder.ended(number).is_all_of(hello)


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x16\x03\x01\x40\x00\x01\x00\x7f\xff" + bytes(100)])
def test_a_hello_that_is_none_is_closed(stage: Stage, certificate: tuple[Path, Path], said: bytes) -> None:
    gate = Gate(stage, certificate, "a", "b", "c", preread_timeout=60_000).start(ROUTES)
    client = stage.connect(gate.address)
    client.sendall(said)
    assert read_to_end(client).data == b""
    assert gate.statistic("gate", "preread_failures") == 1 and gate.own.accepted == 0


def test_a_hello_must_come_in_time(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c", preread_timeout=300).start(ROUTES)
    client = stage.connect(gate.address)
    client.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert read_to_end(client).data == b""
    assert gate.statistic("gate", "preread_timeouts") == 1 and gate.own.accepted == 0


def test_behind_a_proxy_header(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c", proxy_protocol_accept=True).start(ROUTES)
    assert gate.said("a.example", before=v1("192.0.2.1:1", "192.0.2.2:443")) == "a None"


# Programs


def test_openssl_and_curl(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES)
    command = ["openssl", "s_client", "-connect", gate.address, "-servername", "x.b.example", "-alpn", "h2", "-quiet"]
    talking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert talking.stdout and talking.stdout.readline() == b"b h2\n"
    finally:
        talking.kill()
        talking.communicate()
    host, port = split(gate.address)
    url = f"https://a.example:{port}/"
    command = ["curl", "-sk", "--http1.1", "--http0.9", "--max-time", "2", "--resolve", f"a.example:{port}:{host}", url]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert b"a http/1.1" in done.stdout, done


# Changes


def test_routes_follow_changes(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES)
    assert gate.shuttled
    admin = gate.shuttled.admin
    held = gate.secure("a.example")
    read_line(held)
    assert admin.config()[3]["routes"] == ROUTES, "it is printed as it was written"
    admin.put("/gate", {**gate.gate, "routes": [{"sni": ["a.example"], "service": "b"}]}).expect(200)
    assert gate.said("a.example") == "b None"
    admin.put("/b/other", {"address": gate.peers["c"].address}).expect(200)
    assert {gate.said("a.example") for _ in range(4)} == {"b None", "c None"}
    held.sendall(b"still here")
    assert read_exactly(held, 10) == b"still here"
    admin.delete("/a").expect(200)
    held.sendall(b"still here")
    assert read_exactly(held, 10) == b"still here"


def test_what_routes_cannot_say(stage: Stage, certificate: tuple[Path, Path]) -> None:
    gate = Gate(stage, certificate, "a", "b", "c").start(ROUTES)
    assert gate.shuttled
    admin = gate.shuttled.admin

    def refused(routes: Any) -> Any:
        return admin.put("/gate", {**gate.gate, "routes": routes}).problem(400)

    refused([{"sni": ["a"], "service": "zeppelin"}]).points_to("/routes/0/service").says("which is no service")
    refused([{"service": "gate"}]).points_to("/routes/0/service").says("an \"address\" of its own")
    for name in ("", "*", "*.", "a..b", "*.*.a", "10.0.0.1", "a b", ".a", "a:443", "ä"):
        refused([{"sni": [name], "service": "a"}]).points_to("/routes/0/sni/0").says("a host name such as")
    refused([{"sni": ["A.a"], "service": "a"}, {"sni": ["a.A."], "service": "b"}]).points_to("/routes").says("at 0 and at 1")
    refused([{"service": "a"}, {"service": "b"}]).points_to("/routes").says("clients of any name")
    refused([{"alpn": [""], "service": "a"}]).points_to("/routes/0/alpn/0").says("a protocol such as")
    refused([{"sni": ["a"]}]).points_to("/routes/0/service").says("is missing")
    refused([{"sin": ["a"], "service": "a"}]).points_to("/routes/0/sin").says("is not a field of a route")
    refused({"sni": ["a"]}).points_to("/routes").says("a list of objects")
    admin.delete("/a").problem(400).says('route 0 of service "gate"', "change that route first")
    listening = service("a", free_address())
    admin.put("/a", listening).problem(400).points_to("/address").says('route 0 of service "gate"')
    routing = {**pool("a", "127.0.0.1:1"), "routes": [{"service": "b"}]}
    admin.put("/a", routing).problem(400).points_to("/address").says("only routes lead here")
    whole = [{**gate.gate, "routes": [{"service": "zeppelin"}]}, *gate.pools]
    admin.put("/config", whole).problem(400).points_to("/0/routes/0/service")
    assert gate.said("a.example") == "a None", "nothing has changed"
    nameless = {key: value for key, value in pool("d", "127.0.0.1:1").items() if key != "address"}
    admin.put("/d", nameless).problem(400).points_to("/address").says("is missing")
