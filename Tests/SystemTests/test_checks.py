"""Active checks of every type against the programs they are for: redis, nginx, `openssl s_server`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from harness.peers import Blackhole, Named, Refusing
from harness.ports import free_address
from harness.programs import nginx, redis_server, tls_server
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import read_exactly
from harness.wait import eventually

PING = {"type": "tcp_expect", "send": "PING\r\n", "expect": "+PONG"}


def checked(stage: Stage, check_address: str, check: dict[str, Any], env: dict[str, str] | None = None) -> Shuttled:
    return stage.shuttled([web(check_address, check)], env=env)


def web(check_address: str, check: dict[str, Any], **fields: Any) -> dict[str, Any]:
    backends = [backend("b", check_address, check_address=check_address)]
    return service("web", free_address(), backends, check_interval=100, check=check, **fields)


def status(shuttled: Shuttled) -> tuple[bool, str | None, str | None]:
    entry = shuttled.admin.backend("web", "b")
    return entry["up"], entry.get("check_status"), entry.get("check_reason")


def comes_to(shuttled: Shuttled, up: bool, status_text: str, reason: str | None) -> None:
    eventually(
        lambda: status(shuttled) == (up, status_text, reason),
        lambda: f"up {up}, {status_text}, {reason}; it is {status(shuttled)}",
    )


def becomes(shuttled: Shuttled, check: dict[str, Any]) -> None:
    """The same service, checked otherwise."""
    entry = shuttled.admin.config()[0]
    shuttled.admin.change("/web", {**entry, "check": check})


# What statistics say


def test_the_last_check_is_in_the_statistics(stage: Stage) -> None:
    sick = stage.add(Refusing())
    well = stage.add(Named("well"))
    backends = [
        backend("sick", well.address, check_address=sick.address),
        backend("well", well.address, check_address=well.address),
        backend("unchecked", well.address),
    ]
    shuttled = stage.shuttled([service("web", free_address(), backends, check_interval=100)])
    eventually(lambda: "check_last" in shuttled.admin.backend("web", "well"), "it was checked")
    eventually(lambda: not shuttled.admin.backend("web", "sick")["up"], "it goes down")
    entry = shuttled.admin.backend("web", "sick")
    assert (entry["check_status"], entry["check_reason"]) == ("fail", "connection refused")
    entry = shuttled.admin.backend("web", "well")
    assert entry["check_status"] == "success" and "check_reason" not in entry
    assert 0 < entry["check_duration_microseconds"] < 5_000_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["check_last"])
    eventually(lambda: shuttled.admin.backend("web", "well")["check_last"] > entry["check_last"], "the time goes on")
    assert not [name for name in shuttled.admin.backend("web", "unchecked") if name.startswith("check_") and "last" in name]
    # What was read can be written back.
    shuttled.admin.change("/web/sick", shuttled.admin.backend("web", "sick"))
    log = shuttled.log_path.read_text()
    assert 'backend is down' in log and 'reason="connection refused"' in log


def test_a_hanging_backend_costs_its_timeout(stage: Stage) -> None:
    silent = stage.add(Named("silent"))
    shuttled = checked(stage, silent.address, {**PING, "expect": "+PONG", "timeout": 250})
    comes_to(shuttled, False, "fail", 'expected "+PONG" within 250 ms, got "silent\\nPING\\r\\n"')
    entry = shuttled.admin.backend("web", "b")
    assert 250_000 <= entry["check_duration_microseconds"] < 2_000_000
    hole = stage.add(Blackhole())
    shuttled.admin.change("/web/b", backend("b", silent.address, check_address=hole.address))
    shuttled.admin.change("/web", {**shuttled.admin.config()[0], "connect_timeout": 120})
    comes_to(shuttled, False, "fail", "no answer within 120 ms")


# redis


def test_redis_answers_a_ping(stage: Stage) -> None:
    address = free_address()
    redis = redis_server(stage, address)
    shuttled = checked(stage, address, PING)
    comes_to(shuttled, True, "success", None)
    becomes(shuttled, {**PING, "send": "hex:50494e470d0a", "expect": "hex:2b504f4e470d0a"})
    comes_to(shuttled, True, "success", None)
    redis.close()
    comes_to(shuttled, False, "fail", "connection refused")
    redis_server(stage, address)
    comes_to(shuttled, True, "success", None)


def test_redis_is_down_while_it_loads(stage: Stage) -> None:
    """It takes connections meanwhile: a check by connect alone calls it up."""
    address = free_address()
    redis = redis_server(stage, address, "--rdbcompression", "no")
    client = stage.connect(address)
    for number in range(60):
        client.sendall(b"SET key%d %s\r\n" % (number, b"x" * 2000))
    client.sendall(b"SAVE\r\n")
    assert read_exactly(client, 61 * 5) == b"+OK\r\n" * 61
    redis.close()
    shuttled = stage.shuttled(
        [web(address, {**PING, "timeout": 100}, fall=1), {**web(address, {"type": "tcp"}), "name": "connect"}]
    )
    # 60 keys at 100 ms each, with a look at the connections after each of them.
    slowly = ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"]
    redis_server(stage, address, *slowly)
    loading = 'expected "+PONG" within 100 ms, got "-LOADING Redis is loading the dataset in memory\\r…"'
    comes_to(shuttled, False, "fail", loading)
    eventually(lambda: shuttled.admin.backend("connect", "b")["check_status"] == "success", "it takes connections")
    assert not shuttled.admin.backend("web", "b")["up"]
    comes_to(shuttled, True, "success", None)


# nginx


def test_nginx_by_path_and_status(stage: Stage) -> None:
    server = nginx(stage, "one")
    shuttled = checked(stage, server.address, {"type": "http", "path": "/name", "status": "200"})
    comes_to(shuttled, True, "success", None)
    becomes(shuttled, {"type": "http", "path": "/sick"})
    comes_to(shuttled, False, "fail", "status 503, expected 200-399")
    becomes(shuttled, {"type": "http", "path": "/sick", "status": "200,500-503"})
    comes_to(shuttled, True, "success", None)
    becomes(shuttled, {"type": "http", "path": "/no/such/file?really=1", "host": "www.example"})
    comes_to(shuttled, False, "fail", "status 404, expected 200-399")
    becomes(shuttled, {"type": "http", "path": "/name"})
    comes_to(shuttled, True, "success", None)
    server.close()
    comes_to(shuttled, False, "fail", "connection refused")


def test_what_is_not_http_is_shown(stage: Stage) -> None:
    peer = stage.add(Named("peer"))
    shuttled = checked(stage, peer.address, {"type": "http"})
    comes_to(shuttled, False, "fail", 'expected an answer in HTTP, got "peer\\n"')


# TLS


class Certificates:
    """An authority of its own, and a certificate for `good.example` that it has signed."""

    def __init__(self, directory: Path) -> None:
        self.authority, self.authority_key = directory / "authority.pem", directory / "authority.key"
        self.certificate, self.key = directory / "good.pem", directory / "good.key"
        request = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509"]
        self._run(
            *[*request, "-days", "2", "-subj", "/CN=authority", "-keyout", self.authority_key, "-out", self.authority]
        )
        self._run(
            *[*request, "-days", "2", "-subj", "/CN=good", "-addext", "subjectAltName=DNS:good.example"],
            *["-addext", "basicConstraints=critical,CA:FALSE", "-CA", self.authority, "-CAkey", self.authority_key],
            *["-keyout", self.key, "-out", self.certificate],
        )

    @staticmethod
    def _run(*command: str | Path) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_openssl_completes_a_handshake(stage: Stage) -> None:
    certificates = Certificates(stage.directory)
    server = tls_server(stage, certificates.certificate, certificates.key)
    shuttled = checked(stage, server.address, {"type": "tls"}, env={"SSL_CERT_FILE": str(certificates.authority)})
    comes_to(shuttled, True, "success", None)
    becomes(shuttled, {"type": "tls", "sni": "good.example", "verify": True})
    comes_to(shuttled, True, "success", None)
    becomes(shuttled, {"type": "tls", "host": "wrong.example", "verify": True})
    comes_to(shuttled, False, "fail", 'TLS handshake failed: the certificate is not for "wrong.example"')
    becomes(shuttled, {"type": "tls", "host": "wrong.example"})
    comes_to(shuttled, True, "success", None)


def test_a_certificate_that_nobody_trusts(stage: Stage) -> None:
    certificates = Certificates(stage.directory)
    server = tls_server(stage, certificates.certificate, certificates.key)
    shuttled = checked(stage, server.address, {"type": "tls", "host": "good.example", "verify": True})
    comes_to(shuttled, False, "fail", "TLS handshake failed: certificate verify failed")


def test_what_is_not_tls_is_shown(stage: Stage) -> None:
    server = nginx(stage, "plain")
    shuttled = checked(stage, server.address, {"type": "tls"})
    eventually(lambda: not status(shuttled)[0], "it goes down")
    reason = status(shuttled)[2] or ""
    assert reason.startswith('TLS handshake failed: the answer is not TLS but "HTTP/1.1 400 Bad Request\\r\\n'), reason
