"""Who may call the admin endpoint: cases 40 (smaller) and 41 (without tokens, which `test_tokens.py` has) of the list in docs/tests.md.

Loopback is not a boundary: a web page in a browser on the same machine can reach it, under a name of its own choosing.
"""

from __future__ import annotations

import re
import socket
import statistics
import time

import pytest

from harness.admin import FORM, JSON, Response
from harness.peers import Echo
from harness.ports import free_address, port_of
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import echoes
from harness.unchanged import Unchanged
from harness.wait import Stopwatch, eventually

EVIL_HOSTS = [
    "evil.com", "127.evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "evil-localhost", "xlocalhost",
    "192.168.1.1", "10.0.0.1:9090", "[2001:db8::1]", "[::ffff:10.0.0.1]:80", "127.0.0.1@evil.com",
    "localhost:80@evil.com",
    "localhost evil.com", "[::1].evil.com", "[::1]evil.com", "0.0.0.0", "169.254.169.254",
]  # fmt: skip

ROUTES = [("GET", "/"), ("GET", "/config"), ("GET", "/base"), ("GET", "/base/one"), ("PUT", "/base"),
          ("DELETE", "/base"),
          ("PUT", "/config"), ("GET", "/nothing/here/at-all"), ("PUT", "/base/one")]  # fmt: skip


def has_no_cors(response: Response) -> Response:
    sent = [name for name in response.headers if name.lower().startswith("access-control-")]
    assert not sent, f"{sent} in {response}"
    return response


# Host


@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_a_foreign_host_is_refused(serving: Shuttled, unchanged: Unchanged, host: str) -> None:
    """A name that was made to point here (DNS rebinding) does not open anything."""
    with unchanged:
        for with_port in (host, f"{host}:{port_of(serving.http)}"):
            for method, path in ROUTES:
                body = [] if path == "/config" else {"address": "127.0.0.1:80"}
                response = serving.admin.request(method, path, json=body if method == "PUT" else None, host=with_port)
                assert response.status in (400, 403), response
                if with_port == host == "evil.com":
                    response.problem(403).says("host")
                has_no_cors(response)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.0.0.2", "[::1]", "[0:0:0:0:0:0:0:1]"])
def test_loopback_names_are_welcome(serving: Shuttled, host: str) -> None:
    with_port = f"{host}:{port_of(serving.http)}"
    serving.admin.get("/config", host=with_port).expect(200)
    serving.admin.put("/web", service("web", free_address()), host=with_port).expect(200)


def test_a_request_without_or_with_two_hosts_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        assert serving.admin.put("/web", service("web", free_address()), host=None).status in (400, 403)
        for second in ("evil.com", serving.http):
            response = serving.admin.put("/web", service("web", free_address()), headers=[("Host", second)])
            assert response.status in (400, 403), response
        assert serving.admin.put("/web", service("web", free_address()), host=" ").status in (400, 403)


def test_further_names_are_welcome_when_they_were_given(stage: Stage) -> None:
    shuttled = stage.shuttled(arguments=["-http-host", "proxy.example"])
    for host in ("proxy.example", "PROXY.example", f"proxy.example:{port_of(shuttled.http)}", shuttled.http):
        shuttled.admin.get("/config", host=host).expect(200)
    for host in ("xproxy.example", "proxy.example.evil.com", "example", "evil.com"):
        shuttled.admin.get("/config", host=host).problem(403)


def test_an_absolute_target_does_not_get_around_it(serving: Shuttled, unchanged: Unchanged) -> None:
    """GET http://localhost/config with a foreign Host, and the other way round."""
    with unchanged:
        for target, host in (
            ("http://evil.com/config", serving.http),
            (f"http://{serving.http}/config", "evil.com"),
        ):
            assert serving.admin.request("PUT", target, json=[], host=host).status in (400, 403, 404)


# Origin


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        "https://127.0.0.1.evil.com",
        "null",
        "http://localhost.evil.com",
        "file://",
        "http://10.0.0.1",
    ],
)
def test_a_foreign_origin_is_refused(serving: Shuttled, unchanged: Unchanged, origin: str) -> None:
    """A page from elsewhere can send requests here; it can neither read nor change anything."""
    with unchanged:
        for method, path in ROUTES:
            body = [] if path == "/config" else {"address": "127.0.0.1:80"}
            response = serving.admin.request(
                method, path, json=body if method == "PUT" else None, headers={"Origin": origin}
            )
            response.problem(403).says("origin")
            has_no_cors(response)


def test_its_own_origin_is_welcome(serving: Shuttled) -> None:
    own = {"Origin": f"http://{serving.http}"}
    has_no_cors(serving.admin.get("/config", headers=own).expect(200))
    has_no_cors(serving.admin.put("/web", service("web", free_address()), headers=own).expect(200))


@pytest.mark.parametrize("content_type", ["text/plain", FORM, "multipart/form-data; boundary=b", None])
def test_what_a_page_can_send_without_asking_changes_nothing(
    serving: Shuttled, unchanged: Unchanged, content_type: str | None
) -> None:
    """The content types of plain forms need no preflight; with an Origin, foreign or own, they are refused."""
    with unchanged:
        for origin in ("http://evil.com", "null", f"http://{serving.http}"):
            for path in ("/web", "/base", "/base/one"):
                response = serving.admin.post(
                    path, service("web", free_address()), content_type=content_type, headers={"Origin": origin}
                )
                assert response.status in (403, 415), response
                has_no_cors(response)
        serving.admin.post("/web", service("web", free_address()), content_type="text/plain").problem(415)


def test_a_preflight_gets_no_permission(serving: Shuttled, unchanged: Unchanged) -> None:
    asking = {
        "Origin": "http://evil.com",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    with unchanged:
        for path in ("/", "/config", "/base", "/base/one", "/nothing"):
            response = has_no_cors(serving.admin.request("OPTIONS", path, headers=asking))
            assert response.status >= 400, response


# Methods


def test_get_changes_nothing(serving: Shuttled, unchanged: Unchanged) -> None:
    tricks = [
        {},
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-HTTP-Method": "PUT"},
        {"X-Method-Override": "PUT"},
    ]
    with unchanged:
        for headers in tricks:
            for path in ("/base", "/base/one", "/config", "/", "/new", "/base?_method=DELETE", "/config?method=PUT"):
                for method in ("GET", "HEAD"):
                    response = serving.admin.request(method, path, json=service("new", free_address()), headers=headers)
                    assert response.status < 500, response
                    has_no_cors(response)


def test_two_lengths_are_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    """Content-Length and Transfer-Encoding together, or two lengths: what smuggled requests are made of."""
    smuggled = b"0\r\n\r\n" + serving.admin.head("DELETE", "/base")
    lengths = [
        (f"Content-Length: {len(smuggled)}", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", f"Content-Length: {len(smuggled)}"),
    ]
    with unchanged:
        for pair in lengths:
            with serving.admin.connect() as connection:
                connection.sendall(
                    serving.admin.head("PUT", "/web", "Content-Type: application/json", *pair) + smuggled
                )
                assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


HOST = b"Host: %HOST%\r\n"
INDECENT = {
    "long header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000 + b"\r\n",
    "long target": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "zeros": b"\0" * 1000,
    "version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("fault", INDECENT)
def test_what_is_not_a_decent_request_is_refused(serving: Shuttled, unchanged: Unchanged, fault: str) -> None:
    """Refused or closed, within time, and the next request is served."""
    with unchanged:
        with serving.admin.connect() as connection:
            try:
                connection.sendall(INDECENT[fault].replace(b"%HOST%", serving.http.encode()))
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65_536)
            except OSError:
                answer = b""  # closed, in one of the ways in which that can be noticed
            assert not answer or re.match(rb"HTTP/1\.[01] (4|5)\d\d ", answer), answer[:200]


# Slow clients


@pytest.mark.time_limit(90)
def test_slow_clients_keep_nobody_from_being_answered(stage: Stage) -> None:
    """Case 40, smaller: 400 half-open requests; the endpoint answers, changes are made, sessions notice nothing."""
    address = free_address()
    echo = stage.add(Echo())
    shuttled = stage.shuttled([service("web", address, [backend("b", echo.address)])])
    session = stage.connect(address)

    def round_trips() -> float:
        seconds = []
        for _ in range(300):
            watch = Stopwatch()
            assert echoes(session)
            seconds.append(watch.seconds)
        return statistics.median(seconds)

    alone = round_trips()
    halves = [
        b"",
        b"GET /config HTT",
        shuttled.admin.head("GET", "/config", "X-Slow: ").rstrip(),
        shuttled.admin.head("PUT", "/web", f"Content-Type: {JSON}", "Content-Length: 1000") + b"{",
    ]
    slow = [stage.add(shuttled.admin.connect()) for _ in range(400)]
    for number, connection in enumerate(slow):
        try:
            connection.sendall(halves[number % len(halves)])
        except (BrokenPipeError, ConnectionResetError):
            pass  # more than it takes at once: closing them is an answer as well

    def answered() -> bool:
        return shuttled.admin.get("/config").status == 200

    eventually(answered, "the endpoint answers", 15)
    eventually(lambda: shuttled.admin.put("/web/c", backend("c", echo.address)).status == 200, "changes are made", 15)
    beside = round_trips()
    assert beside < max(0.01, alone * 5), f"median round trip {beside} s, {alone} s without the slow clients"
    for connection in slow[::4]:
        try:
            connection.sendall(b"G")
        except OSError:
            pass
    eventually(answered, "and again", 15)


def test_a_reader_that_does_not_read_keeps_nobody_waiting(stage: Stage) -> None:
    """It asks for a large configuration again and again and never reads the answers."""
    backends = [backend(f"{i:04}" + "x" * 120, "127.0.0.1:80") for i in range(3000)]
    shuttled = stage.shuttled([service("web", free_address(), backends)])
    before = shuttled.view.resident_bytes
    for _ in range(5):
        connection = stage.add(shuttled.admin.connect())
        connection.setblocking(False)
        try:
            for _ in range(2000):
                connection.send(shuttled.admin.head("GET", "/"))
        except BlockingIOError:
            pass
    for _ in range(10):
        watch = Stopwatch()
        shuttled.admin.get("/web/0000" + "x" * 120).expect(200)
        assert watch.seconds < 5
        time.sleep(0.05)
    grown = shuttled.view.resident_bytes - before
    assert grown < 64 * 1024 * 1024, f"answers that nobody reads pile up: {grown // 1024} KiB"
