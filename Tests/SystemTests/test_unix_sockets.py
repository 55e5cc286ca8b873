"""Unix sockets on either side of a service: what passes, their files, and what is refused."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.knocking import Knocking
from harness.peers import Echo, FullUnix, Named, Peer, Recorder, Scripted, reply_after_eof
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage, read_line
from harness.streams import (
    End,
    Stream,
    background,
    connect,
    echoes,
    exchange,
    finish,
    random_bytes,
    read_exactly,
    read_to_end,
    reset,
    unacknowledged_bytes,
)
from harness.wait import eventually, throughout
from test_bulk_modes import MIB, digest_of_numbered, digest_of_received, send_numbered
from test_proxy_send import Told

KINDS = ["tcp", "path", "abstract"]
MIXES = [("path", "tcp"), ("tcp", "path"), ("path", "path"), ("abstract", "tcp"), ("tcp", "abstract"), ("abstract", "path")]
BULK_BYTES = 96 * MIB


def place(stage: Stage, kind: str, name: str) -> str:
    """An address of this kind that nobody has."""
    if kind == "tcp":
        return free_address()
    if kind == "abstract":
        return f"unix:@{stage.directory.name}-{name}"
    return f"unix:{stage.directory}/{name}.sock"


def path_of(address: str) -> Path:
    return Path(address.removeprefix("unix:"))


def leave_stale(path: Path) -> None:
    """What a killed process leaves behind."""
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()
    assert path.exists()


# Traffic


@pytest.mark.parametrize(("front", "back"), MIXES)
def test_every_mix_passes_everything_both_ways(stage: Stage, front: str, back: str) -> None:
    peer = stage.add(Echo(place(stage, back, "back")))
    address = place(stage, front, "front")
    shuttled = stage.shuttled([service("web", address, [backend("b", peer.address)])])
    data = random_bytes(front + back, 3 * MIB)
    for _ in range(3):
        exchange(stage.connect(address), data).is_all_of(data)
    entry = shuttled.admin.service("web")
    assert entry["address"] == address, "it is printed as it was given"
    assert entry["backends"][0]["address"] == peer.address
    assert (entry["sent"], entry["received"], entry["errors"]) == (9 * MIB, 9 * MIB, 0)


@pytest.mark.parametrize("without", ["", "splice", "bundles", "receive-limit,minimum-wait,bundles"])
@pytest.mark.parametrize(("front", "back"), [("path", "tcp"), ("tcp", "path"), ("abstract", "path")])
def test_bulk_is_exact_both_ways_at_once(
    stage: Stage, front: str, back: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUTTLE_WITHOUT", without)
    up, down = random_bytes("up", MIB), random_bytes("down", MIB)
    count = BULK_BYTES // MIB
    at_backend: list[tuple[int, bytes]] = []
    finished = threading.Event()

    def serve(connection: socket.socket) -> None:
        def send() -> None:
            send_numbered(connection, down, count)
            finish(connection)

        with background(send):
            at_backend.append(digest_of_received(connection))
        finished.set()

    server = stage.add(Scripted(serve, place(stage, back, "back")))
    address = place(stage, front, "front")
    shuttled = stage.shuttled([service("bulk", address, [backend("b", server.address)])], rings=1)
    with stage.connect(address) as client:

        def send() -> None:
            send_numbered(client, up, count)
            finish(client)

        with background(send):
            at_client = digest_of_received(client)
    assert finished.wait(30), "the backend has read everything"
    assert at_client == (BULK_BYTES, digest_of_numbered(down, count))
    assert at_backend == [(BULK_BYTES, digest_of_numbered(up, count))]
    spliced = sum(ring["spliced_bytes"] for ring in shuttled.admin.get("/v1/rings").expect(200).json)
    # Without the other features it depends on how the bytes come.
    if without in ("", "splice"):
        assert (spliced > 0) == (not without), "bulk goes by way of the kernel, between unix sockets as well"


@pytest.mark.parametrize(("front", "back"), MIXES)
def test_either_side_may_finish_first(stage: Stage, front: str, back: str) -> None:
    reply = random_bytes("reply", MIB)
    requests: list[Stream] = []
    late = stage.add(Scripted(reply_after_eof(reply, 0.2, requests), place(stage, back, "late")))

    def early(connection: socket.socket) -> None:
        connection.sendall(b"done")
        finish(connection)
        requests.append(read_to_end(connection))

    first = stage.add(Scripted(early, place(stage, back, "first")))
    addresses = [place(stage, front, "a"), place(stage, front, "b")]
    stage.shuttled(
        [service("late", addresses[0], [backend("b", late.address)]), service("first", addresses[1], [backend("b", first.address)])]
    )
    exchange(stage.connect(addresses[0]), b"question").is_all_of(reply)
    requests.pop().is_all_of(b"question")

    client = stage.connect(addresses[1])
    assert read_exactly(client, 4) == b"done"
    client.sendall(b"still talking")
    finish(client)
    read_to_end(client).is_all_of(b"")
    eventually(lambda: requests, "the backend has read to the end")
    requests.pop().is_all_of(b"still talking")


@pytest.mark.parametrize("back", ["path", "abstract"])
def test_a_unix_backend_that_closes_with_unread_bytes_resets_the_client_after_the_rest(stage: Stage, back: str) -> None:
    told = threading.Event()

    def rude(connection: socket.socket) -> None:
        connection.sendall(b"goodbye")
        assert told.wait(10)
        eventually(lambda: connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT), "the client's bytes are there")

    server = stage.add(Scripted(rude, place(stage, back, "back")))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", server.address)])])
    client = stage.connect(address)
    client.sendall(b"who will ever read this?")
    told.set()
    stream = read_to_end(client)
    assert (stream.data, stream.end) == (b"goodbye", End.RESET)
    assert shuttled.admin.backend("web", "b")["errors"] == 1


def test_a_unix_client_that_closes_with_unread_bytes_resets_a_tcp_backend(stage: Stage) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        streams.append(read_to_end(connection))

    streams: list[Stream] = []
    server = stage.add(Scripted(speak))
    address = place(stage, "path", "front")
    stage.shuttled([service("web", address, [backend("b", server.address)])])
    client = stage.connect(address)
    client.sendall(b"bye")
    eventually(lambda: client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT), "the greeting is there, unread")
    client.close()
    eventually(lambda: streams, "the backend's connection has ended")
    assert (streams[0].data, streams[0].end) == (b"bye", End.RESET)


def test_a_reset_reaches_a_unix_peer_as_an_end_after_all_bytes(stage: Stage) -> None:
    """A unix socket cannot be reset from outside: the peer gets all bytes that came before, then an end."""
    data = random_bytes("data", MIB)
    recorder = stage.add(Recorder(place(stage, "path", "back")))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", recorder.address)])])
    client = stage.connect(address)
    client.sendall(data)
    eventually(lambda: recorder.open_connections == 1, "the backend has the connection")
    # What the proxy has not read yet the kernel drops with the reset.
    eventually(lambda: unacknowledged_bytes(client) == 0, "all is acknowledged")
    eventually(lambda: shuttled.admin.service("web")["sent"] == len(data), "all is sent on")
    reset(client)
    recorder.ended().is_all_of(data)


def test_a_slow_unix_reader_is_not_idle_and_one_that_never_reads_is(stage: Stage) -> None:
    """The kernel answers no questions about acknowledgements here; progress is what a peer has taken."""
    data = random_bytes("slow", 4 * MIB)

    def send(connection: socket.socket) -> None:
        connection.sendall(data)
        read_to_end(connection)

    server = stage.add(Scripted(send))
    address = place(stage, "path", "front")
    shuttled = stage.shuttled([service("web", address, [backend("b", server.address)], client_timeout=600)])
    slow, stuck = stage.connect(address), stage.connect(address)
    got = bytearray()
    start = time.monotonic()
    while time.monotonic() - start < 3:
        got += slow.recv(32_768)
        time.sleep(0.15)
    eventually(lambda: shuttled.admin.service("web")["ended"]["idle"] == 1, "who never reads is closed")
    while len(got) < len(data):
        piece = slow.recv(262_144)
        assert piece, f"the slow reader was cut after {len(got)} bytes"
        got += piece
    assert bytes(got) == data
    slow.close()
    stuck.close()


# Backends that cannot be reached


def test_each_reason_is_told_and_another_backend_serves(stage: Stage) -> None:
    good = stage.add(Named("good", place(stage, "path", "good")))
    missing, stale, plain = (stage.directory / name for name in ("missing.sock", "stale.sock", "plain"))
    leave_stale(stale)
    plain.write_text("not a socket")
    bad = {"missing": missing, "stale": stale, "plain": plain}
    address = free_address()
    backends = [backend(name, f"unix:{path}", passive={"failures": 0}) for name, path in bad.items()]
    shuttled = stage.shuttled([service("web", address, [*backends, backend("good", good.address)], retries=3)])
    for _ in range(4):
        assert stage.name_at(address) == "good"
    reasons = {name: shuttled.admin.backend("web", name)["last_failure"] for name in bad}
    assert reasons == {"missing": "no socket at this address", "stale": "connection refused", "plain": "connection refused"}
    assert all(shuttled.admin.backend("web", name)["errors"] > 0 for name in bad)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be without its rights")
def test_a_backend_that_may_not_be_connected_to_is_told(stage: Stage) -> None:
    peer = stage.add(Named("closed", place(stage, "path", "closed")))
    os.chmod(path_of(peer.address), 0o600)
    os.chown(path_of(peer.address), 12345, 12345)
    good = stage.add(Named("good", "unix:@" + stage.directory.name))
    address = free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("closed", peer.address), backend("good", good.address)])],
        without_capabilities=["dac_override", "dac_read_search"],
    )
    assert [stage.name_at(address) for _ in range(2)] == ["good", "good"]
    assert shuttled.admin.backend("web", "closed")["last_failure"] == "permission denied"


def test_a_full_listen_queue_is_waited_for_within_the_connect_timeout(stage: Stage) -> None:
    full = stage.add(FullUnix(place(stage, "path", "full")))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("full", full.address)], connect_timeout=8000)])
    clients = [stage.connect(address) for _ in range(8)]
    for client in clients:
        client.sendall(b"hello")
    eventually(lambda: shuttled.admin.service("web")["active"] == 8, "all of them wait")
    throughout(lambda: shuttled.admin.service("web")["errors"] == 0, "nobody is turned away", 0.3)
    full.serve()
    assert [read_exactly(client, 5) for client in clients] == [b"hello"] * 8
    assert shuttled.admin.service("web")["errors"] == 0


def test_a_listen_queue_that_stays_full_is_a_connect_timeout(stage: Stage) -> None:
    full = stage.add(FullUnix(place(stage, "abstract", "full")))
    good = stage.add(Named("good", place(stage, "path", "good")))
    address = free_address()
    backends = [backend("full", full.address), backend("good", good.address)]
    shuttled = stage.shuttled([service("web", address, backends, connect_timeout=200)], rings=1)
    start = time.monotonic()
    assert stage.name_at(address) == "good"
    # Rings count in whole milliseconds, cut off.
    assert 0.199 <= time.monotonic() - start < 2
    entry = shuttled.admin.backend("web", "full")
    assert (entry["errors"], entry["last_failure"]) == (1, "connect timed out")


# Checks


def test_checks_of_every_type_reach_unix_sockets(stage: Stage) -> None:
    hosts: list[bytes] = []

    def http(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        hosts.append(next(line for line in request.split(b"\r\n") if line.lower().startswith(b"host:")))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    web = stage.add(Scripted(http, place(stage, "path", "http")))
    echo = stage.add(Echo(place(stage, "abstract", "echo")))
    stale = stage.directory / "stale.sock"
    leave_stale(stale)
    checks: dict[str, tuple[Peer, dict[str, Any]]] = {
        "tcp": (echo, {}),
        "http": (web, {"check": {"type": "http", "path": "/health"}}),
        "expect": (echo, {"check": {"type": "tcp_expect", "send": "PING", "expect": "PING"}}),
        "tls": (echo, {"check": {"type": "tls", "timeout": 500}}),
    }
    services = [
        service(
            name,
            free_address(),
            [
                backend("b", peer.address, check_address=peer.address),
                backend("gone", f"unix:{stale}", check_address=f"{stale}"),
                # Another way to be checked than to be reached.
                backend("other", free_address(), check_address=peer.address),
            ],
            **{**fields, "check_interval": 100},
        )
        for name, (peer, fields) in checks.items()
    ]
    shuttled = stage.shuttled(services)
    for name in checks:
        for which in ("b", "other"):
            entry = eventually(
                lambda: (found := shuttled.admin.backend(name, which))["check_success" if name != "tls" else "check_fail"] and found,
                f"{name}/{which} is checked",
            )
            if name != "tls":
                assert entry["check_status"] == "success" and entry["up"], entry
            else:
                assert "TLS handshake failed" in entry["check_reason"], entry
        gone = eventually(
            lambda: (found := shuttled.admin.backend(name, "gone"))["check_fail"] and found, f"{name}/gone is checked"
        )
        assert gone["check_reason"].endswith("connection refused"), gone
    assert hosts[0] == b"Host: localhost"


# The file


def test_the_file_has_its_mode_from_the_start_and_a_change_keeps_the_socket(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = place(stage, "path", "front")
    path = path_of(address)

    def web(**fields: Any) -> dict[str, Any]:
        return service("web", fields.pop("address", address), [backend("one", one.address)], **fields)

    shuttled = stage.shuttled([web()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660, "the default"
    assert "socket_mode" not in shuttled.admin.config()[0]
    before = path.stat().st_ino, shuttled.view.listeners()
    held = stage.connect(address)
    assert read_line(held) == "one"
    with Knocking(address) as knocking:
        for fields in ({"socket_mode": "0600"}, {"socket_mode": "777"}, {"balance": "LC"}, {"address": f"{path.parent}/.//{path.name}"}):
            shuttled.admin.change("/web", web(**fields))
            assert (path.stat().st_ino, shuttled.view.listeners()) == before, "the very same socket"
            expected = int(str(fields.get("socket_mode", "0660")), 8)
            assert stat.S_IMODE(path.stat().st_mode) == expected
        shuttled.admin.change("/config", [{**web(), "name": "renamed"}])
        assert (path.stat().st_ino, shuttled.view.listeners()) == before
    knocking.expect_all_served("one")
    assert echoes(held)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_and_group_by_number_and_by_name(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = place(stage, "path", "front")
    path = path_of(address)
    web = service("web", address, [backend("one", one.address)])
    shuttled = stage.shuttled([{**web, "socket_owner": "12345", "socket_group": "daemon", "socket_mode": "0600"}])
    daemon = grp.getgrnam("daemon").gr_gid
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (12345, daemon, 0o600)
    shuttled.admin.change("/web", {**web, "socket_owner": "daemon"})
    assert (path.stat().st_uid, path.stat().st_gid) == (pwd.getpwnam("daemon").pw_uid, os.getegid())
    shuttled.admin.change("/web", web)
    assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid()), "what is left out is as at first"
    problem = shuttled.admin.put("/web", {**web, "socket_owner": "nobody-of-that-name"}).problem(400)
    problem.points_to("/socket_owner").says("nobody-of-that-name", "no user of that name")
    problem = shuttled.admin.put("/web", {**web, "socket_group": "nobody-of-that-name"}).problem(400)
    problem.points_to("/socket_group").says("no group of that name")
    assert stage.name_at(address) == "one"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be without its rights")
def test_an_owner_that_may_not_be_given_changes_nothing(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address, second = place(stage, "path", "front"), place(stage, "path", "second")
    web = service("web", address, [backend("one", one.address)])
    shuttled = stage.shuttled([web], without_capabilities=["chown"])
    before = path_of(address).stat()
    body = [{**web, "socket_mode": "0666"}, service("late", second, socket_owner="12345")]
    problem = shuttled.admin.put("/config", body).problem(400)
    problem.points_to("/1/socket_owner").says("12345", "CAP_CHOWN")
    assert not path_of(second).exists(), "nothing is left of what was refused"
    problem = shuttled.admin.put("/web", {**web, "socket_owner": "12345", "socket_mode": "0666"}).problem(400)
    problem.points_to("/socket_owner").says("12345", "CAP_CHOWN")
    after = path_of(address).stat()
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)
    assert stage.name_at(address) == "one"
    assert len(shuttled.admin.config()) == 1
    code, said = stage.prepared([{**web, "address": second, "socket_owner": "12345"}], without_capabilities=["chown"]).run()
    assert code == 71 and "socket_owner" in said, (code, said)
    assert not path_of(second).exists()


def test_what_is_at_the_path_decides(stage: Stage) -> None:
    """A stale socket is replaced; a living one, a file and a folder are not, at the start as in a change."""
    one = stage.add(Named("one"))
    stale, plain, folder = stage.directory / "stale.sock", stage.directory / "plain", stage.directory / "folder"
    leave_stale(stale)
    plain.write_text("precious")
    folder.mkdir()
    living = stage.add(Named("other", f"unix:{stage.directory}/living.sock"))
    named = stage.add(Named("named", f"unix:@{stage.directory.name}"))

    def web(address: str) -> dict[str, Any]:
        return service("web", address, [backend("one", one.address)])

    shuttled = stage.shuttled([web(str(stale))])
    assert stage.name_at(str(stale)) == "one"
    for address, words in [
        (str(plain), ["not a socket", "move it away"]),
        (str(folder), ["not a socket"]),
        (living.address, ["another program listens there"]),
        (named.address, ["another program listens there"]),
    ]:
        problem = shuttled.admin.put("/web", web(address)).problem(409)
        problem.points_to("/address").says(address, *words)
        code, said = stage.prepared([web(address)]).run()
        assert code == 71 and "/0/address" in said and address in said, (code, said)
    assert plain.read_text() == "precious"
    assert (stage.name_at(living.address), stage.name_at(named.address)) == ("other", "named")
    problem = shuttled.admin.put("/web", web(f"{stage.directory}/no/folder.sock")).problem(400)
    problem.points_to("/address").says("create its folder")
    assert stage.name_at(str(stale)) == "one", "nothing has changed"
    second = stage.prepared([web(str(stale))])
    code, said = second.run()
    assert code == 71 and str(stale) in said, (code, said)
    assert stage.name_at(str(stale)) == "one", "the first is not disturbed"


def test_the_file_goes_with_the_service_and_with_the_process(stage: Stage) -> None:
    one = stage.add(Named("one"))
    first, second = place(stage, "path", "first"), place(stage, "path", "second")
    name = place(stage, "abstract", "name")

    def web(address: str) -> dict[str, Any]:
        return service("web", address, [backend("one", one.address)])

    shuttled = stage.shuttled([web(first)])
    held = stage.connect(first)
    assert read_line(held) == "one"
    shuttled.admin.change("/web", web(second))
    assert not path_of(first).exists() and stage.name_at(second) == "one"
    shuttled.admin.change("/web", web(name))
    assert not path_of(second).exists() and stage.name_at(name) == "one"
    shuttled.admin.change("/web", web(second))
    with pytest.raises(ConnectionRefusedError):
        connect(name)
    shuttled.admin.remove("/web")
    assert not path_of(second).exists()
    assert echoes(held), "sessions live on"
    shuttled.admin.change("/web", web(second))
    assert stage.name_at(second) == "one"
    # What another has put there is not ours to remove.
    path_of(second).unlink()
    other = stage.add(Named("other", second))
    shuttled.admin.remove("/web")
    assert stage.name_at(second) == "other"
    shuttled.admin.change("/web", web(first))
    held.close()
    shuttled.stop()
    assert not path_of(first).exists(), "it takes its socket along"
    assert other.accepted == 1


def test_clients_in_the_queue_of_a_removed_listener_are_served(stage: Stage) -> None:
    one = stage.add(Named("one"))
    shuttled = stage.shuttled(rings=2)
    for kind in ("path", "abstract"):
        for _ in range(3):
            address = place(stage, kind, "front")
            shuttled.admin.change("/web", service("web", address, [backend("one", one.address)]))
            waiting = stage.add(socket.create_connection(tuple_of(shuttled.http)))
            with shuttled.stopped():
                clients = [stage.connect(address) for _ in range(100)]
                waiting.sendall(shuttled.admin.head("DELETE", "/web", "Connection: close"))
            for client in clients:
                assert read_line(client) == "one"
                client.close()
            assert b" 200 " in read_to_end(waiting).data
            with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                connect(address)


def tuple_of(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_restart_after_kill_9(stage: Stage, kind: str) -> None:
    one = stage.add(Named("one"))
    address = place(stage, kind, "front")
    shuttled = stage.shuttled([service("web", address, [backend("one", one.address)])], state=True)
    for _ in range(5):
        assert stage.name_at(address) == "one"
        shuttled.kill()
        assert kind == "abstract" or path_of(address).exists()
        shuttled.start()
    assert stage.name_at(address) == "one"


def test_of_two_that_start_at_once_one_listens(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = place(stage, "path", "front")
    for number in range(8):
        if number % 2 and not path_of(address).exists():
            leave_stale(path_of(address))
        both = [stage.prepared([service("web", address, [backend("one", one.address)])], rings=1) for _ in range(3)]
        for instance in both:
            instance.launch()
        eventually(
            lambda: sum(instance.is_running for instance in both) == 1, "all but one give up", 20
        )
        (winner,) = [instance for instance in both if instance.is_running]
        winner.wait_ready()
        assert stage.name_at(address) == "one"
        for instance in both:
            if instance is not winner:
                assert instance.exit_code() == 71
        winner.kill()


# Who a client is


def in_another_process(address: str, count: int) -> list[str]:
    """What a new process reads when it connects so many times."""
    script = (
        "import socket, sys\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); print(c.makefile().readline().strip()); c.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path_of(address)), str(count)], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.split()


def test_a_client_of_a_unix_socket_is_a_process(stage: Stage) -> None:
    peers = [stage.add(Named(f"n{i}")) for i in range(8)]
    address = place(stage, "path", "front")
    backends = [backend(peer.name, peer.address) for peer in peers]
    shuttled = stage.shuttled([service("web", address, backends, balance="HASH")])
    assert len({stage.name_at(address) for _ in range(20)}) == 1, "one process, one backend"
    seen = [in_another_process(address, 3) for _ in range(10)]
    assert all(len(set(names)) == 1 for names in seen)
    assert len({names[0] for names in seen}) > 1, "other processes have other backends"
    shuttled.admin.change("/web", service("web", address, backends, max_connections_per_client=2))
    held = [stage.connect(address) for _ in range(2)]
    assert all(read_line(client) for client in held)
    assert read_to_end(stage.connect(address)).data == b"", "a third of the same process is refused"
    assert len(in_another_process(address, 2)) == 2, "another process has a count of its own"
    assert shuttled.admin.service("web")["refused_per_client"] == 1


def test_lists_of_clients_know_unix_sockets(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = place(stage, "path", "front")
    web = service("web", address, [backend("one", one.address)])
    shuttled = stage.shuttled([web])
    for lists, comes_in in [
        ({"deny": ["::/0", "0.0.0.0/0"]}, True),
        ({"allow": ["::/0"]}, False),
        ({"allow": ["10.0.0.0/8", "unix"]}, True),
        ({"deny": ["unix"]}, False),
    ]:
        shuttled.admin.change("/web", {**web, **lists})
        assert read_to_end_of_line(stage.connect(address)) == ("one" if comes_in else ""), lists
    assert shuttled.admin.service("web")["denied"] == 2


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("back", ["tcp", "path"])
def test_a_client_of_a_unix_socket_has_no_address_but_by_a_header(stage: Stage, back: str, version: str) -> None:
    peer = stage.add(Told(place(stage, back, "back")))
    address = place(stage, "path", "front")
    web = service("web", address, [backend("b", peer.address)], proxy_protocol_send=version)
    shuttled = stage.shuttled([web])
    assert read_line(stage.connect(address)) == "hello"
    assert peer.headers == [(version, None)]
    shuttled.admin.change("/web", {**web, "proxy_protocol_accept": True, "allow": ["192.0.2.0/24"]})
    for header, comes_in in [
        (b"PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n", True),
        (b"PROXY TCP4 198.51.100.1 203.0.113.7 56324 443\r\n", False),
        (b"PROXY UNKNOWN\r\n", False),
    ]:
        client = stage.connect(address)
        client.sendall(header)
        assert read_to_end_of_line(client) == ("hello" if comes_in else ""), header
    assert peer.headers[1:] == [(version, "192.0.2.1:56324")]
    assert shuttled.admin.service("web")["denied"] == 2


def read_to_end_of_line(connection: socket.socket) -> str:
    try:
        return connection.recv(100).decode().strip()
    except ConnectionError:
        return ""


# What is refused


def test_what_cannot_be_is_refused_with_a_reason(stage: Stage) -> None:
    address = place(stage, "path", "front")
    path = path_of(address)
    tcp = backend("b", "127.0.0.1:9")
    local = backend("b", "unix:/run/app.sock")
    shuttled = stage.shuttled([service("web", address, [tcp])])
    long_path = "/" + "x" * 107
    for body, pointer, words in [
        (service("web", "unix:run/x.sock", [tcp]), "/address", ["must start with /"]),
        (service("web", long_path, [tcp]), "/address", ["108 bytes", "107"]),
        (service("web", "unix:@" + "n" * 108, [tcp]), "/address", ["108 bytes", "107"]),
        (service("web", address, [backend("b", "/run/../x")]), "/backends/0/address", [".."]),
        (service("web", address, [backend("b", "unix:@")]), "/backends/0/address", ["names no socket"]),
        (service("web", address, [tcp], socket_mode="0999"), "/socket_mode", ["octal"]),
        (service("web", free_address(), [tcp], socket_mode="0600"), "/socket_mode", ["no file"]),
        (service("web", "unix:@x", [tcp], socket_owner="root"), "/socket_owner", ["no file"]),
        (service("web", free_address(), [tcp], socket_group="root"), "/socket_group", ["no file"]),
        (service("web", address, [local], keepalive={"idle": 30_000}), "/keepalive", ["TCP"]),
        (service("web", address, [local], user_timeout=1000), "/user_timeout", ["TCP"]),
        (service("web", free_address(), [local], source_address="127.0.0.1"), "/source_address", ["unix"]),
        (service("web", "", [tcp], socket_mode="0600"), "/socket_mode", ["no file"]),
        (service("web", address, [tcp], network="udp"), "/address", ["unix socket", "udp"]),
        (service("web", free_address(), [local], network="udp"), "/backends", ["unix socket", "udp"]),
        (service("web", free_address(), [tcp], network="udp", socket_mode="0600"), "/socket_mode", ["udp"]),
    ]:
        shuttled.admin.put("/web", body).problem(400).points_to(pointer).says(*words)
    two = [service("a", address), service("b", f"{path.parent}//{path.name}")]
    shuttled.admin.put("/config", two).problem(400).points_to("/0/address", "/1/address").says("listens on as well")
    shuttled.admin.put("/b", service("b", str(path))).problem(400).points_to("/address").says("live configuration")
    assert shuttled.admin.config()[0]["address"] == address
    # One side by TCP is enough.
    shuttled.admin.change("/web", service("web", address, [tcp, {**local, "name": "c"}], user_timeout=1000))
    shuttled.admin.change("/web", service("web", free_address(), [local], keepalive={"idle": 30_000}))
    assert not path.exists()


def test_check_looks_at_unix_sockets_as_well(stage: Stage) -> None:
    good = service("web", place(stage, "path", "front"), [backend("b", "unix:@app")], socket_mode="0666")
    instance = stage.prepared([good], arguments=["-check"])
    code, said = instance.run()
    assert code == 0, said
    assert not path_of(good["address"]).exists()
    bad = {**good, "socket_owner": "nobody-of-that-name"}
    code, said = stage.prepared([bad], arguments=["-check"]).run()
    assert code == 1 and "/0/socket_owner" in said and "nobody-of-that-name" in said, (code, said)


def test_a_path_of_107_bytes_and_a_name_of_107_bytes_work(stage: Stage) -> None:
    one = stage.add(Named("one"))
    stem = f"{stage.directory}/"
    path = stem + "p" * (107 - len(stem))
    name = "unix:@" + (stage.directory.name + "n" * 107)[:107]
    stage.shuttled([service("a", path, [backend("one", one.address)]), service("b", name, [backend("one", path)])])
    assert stage.name_at(path) == "one"
    assert stage.name_at(name) == "one"
