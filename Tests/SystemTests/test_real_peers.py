"""Programs that people run, through shuttled: curl, nginx, redis."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess

import pytest

from harness.ports import free_address
from harness.programs import Program, nginx, redis_server
from harness.shuttled import backend, service
from harness.stage import Stage
from harness.streams import random_bytes, read_exactly
from harness.wait import eventually

MIB = 1024 * 1024


def curl(*arguments: str) -> bytes:
    done = subprocess.run(["curl", "-sS", "--fail", "--max-time", "30", *arguments], capture_output=True)
    assert done.returncode == 0, f"curl {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout


def test_curl_reaches_nginx_and_the_balance_is_even(stage: Stage) -> None:
    servers = {name: nginx(stage, name) for name in ("one", "two")}
    address = free_address()
    backends = [backend(name, server.address, check_address=server.address) for name, server in servers.items()]
    stage.shuttled([service("web", address, backends, check_interval=100)])
    answers = [curl(f"http://{address}/name").decode() for _ in range(10)]
    assert sorted(answers) == ["one"] * 5 + ["two"] * 5
    kept_alive = curl(*[f"http://{address}/name"] * 10).decode()
    assert kept_alive in ("one" * 10, "two" * 10), "one connection, one backend"


def test_a_large_file_arrives_whole(stage: Stage) -> None:
    server = nginx(stage, "files")
    data = random_bytes("large", 64 * MIB)
    (stage.directory / "files" / "files" / "large").write_bytes(data)
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", server.address)])])
    expected = hashlib.sha256(data).hexdigest()
    url = f"http://{address}/large"
    assert hashlib.sha256(curl(url)).hexdigest() == expected
    slow = curl("--limit-rate", "40M", url)
    assert hashlib.sha256(slow).hexdigest() == expected, "at 40 MB/s"
    part = curl("-r", f"{10 * MIB}-{20 * MIB - 1}", url)
    assert part == data[10 * MIB : 20 * MIB]
    shuttled.wait_idle()
    assert shuttled.admin.service("web")["received"] > 2 * len(data) + 10 * MIB


def test_nginx_may_be_replaced_while_curl_asks(stage: Stage) -> None:
    """A rolling restart with plain curl: add the new one, remove the old one, nobody notices."""
    servers = [nginx(stage, name) for name in ("v1", "v2")]
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("v1", servers[0].address)])])
    asking = subprocess.Popen(
        ["curl", "-sS", "--fail", "--max-time", "30", "--no-keepalive", "-H", "Connection: close"]
        + [f"http://{address}/name?[1-1500]"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: shuttled.admin.service("web")["connections"] > 100, "requests flow")
    body = json.dumps({"address": servers[1].address})
    curl("-X", "PUT", "-d", body, f"http://{shuttled.http}/web/v2")
    curl("-X", "DELETE", f"http://{shuttled.http}/web/v1")
    assert asking.poll() is None, "the change came while curl was asking"
    eventually(lambda: shuttled.admin.backend("web", "v2")["connections"] > 100, "v2 serves")
    said, complaint = asking.communicate(timeout=30)
    assert asking.returncode == 0, complaint.decode()
    answers = [said[i : i + 2].decode() for i in range(0, len(said), 2)]
    assert len(answers) == 1500 and set(answers) == {"v1", "v2"}
    assert answers.index("v2") > 100 and "v1" not in answers[-100:]


@pytest.fixture
def redis(stage: Stage) -> Program:
    return redis_server(stage)


def test_redis_commands_and_pipelines_pass_through(stage: Stage, redis: Program) -> None:
    address = free_address()
    stage.shuttled([service("redis", address, [backend("r", redis.address, check_address=redis.address)])])
    client = stage.connect(address)
    assert resp(client, b"PING") == b"PONG"
    assert resp(client, b"SET", b"key", b"value") == b"OK"
    assert resp(client, b"GET", b"key") == b"value"
    large = random_bytes("redis", 5 * MIB)
    assert resp(client, b"SET", b"large", large) == b"OK"
    assert resp(stage.connect(address), b"GET", b"large") == large

    count = 5000
    client.sendall(b"".join(command(b"INCR", b"counter") for _ in range(count)))
    assert [reply(client) for _ in range(count)] == list(range(1, count + 1)), "a pipeline, answered in order"


def test_redis_publishes_to_subscribers_that_only_listen(stage: Stage, redis: Program) -> None:
    address = free_address()
    stage.shuttled([service("redis", address, [backend("r", redis.address)])])
    listener, speaker = stage.connect(address), stage.connect(address)
    assert resp(listener, b"SUBSCRIBE", b"news") == [b"subscribe", b"news", 1]
    for number in range(100):
        assert resp(speaker, b"PUBLISH", b"news", b"%d" % number) == 1
        assert reply(listener) == [b"message", b"news", b"%d" % number]


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def resp(connection: socket.socket, *words: bytes) -> object:
    connection.sendall(command(*words))
    return reply(connection)


def reply(connection: socket.socket) -> object:
    """One reply of redis: a status, number, string or list."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(connection, 1)
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return read_exactly(connection, int(rest) + 2)[:-2]
        case b"*":
            return [reply(connection) for _ in range(int(rest))]
    raise AssertionError(f"redis said {line!r}")
