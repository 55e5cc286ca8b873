"""Listening sockets live as long as their address is configured: cases 24 to 26 and 33 of the list in docs/tests.md."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading

import pytest

from harness.knocking import Knocking
from harness.peers import Named
from harness.ports import free_address, free_port, port_of
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import connect, echoes
from harness.wait import eventually


@pytest.fixture
def one(stage: Stage) -> Named:
    return stage.add(Named("one"))


@pytest.fixture
def two(stage: Stage) -> Named:
    return stage.add(Named("two"))


def web(address: str, peer: Named, **fields: object) -> dict[str, object]:
    return service("web", address, [backend(peer.name, peer.address)], **fields)


# Removal


def test_a_removed_listener_refuses_at_once_and_its_sessions_live(stage: Stage, one: Named) -> None:
    """Case 25: when the removal is answered, the next connect is refused; twenty times."""
    shuttled = stage.shuttled()
    held = []
    for _ in range(20):
        address = free_address()
        shuttled.admin.change("/web", web(address, one))
        connection = stage.connect(address)
        assert read_line(connection) == "one"
        held.append(connection)
        shuttled.admin.remove("/web")
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        assert port_of(address) not in shuttled.view.listeners()
    assert all(echoes(connection) for connection in held)


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_clients_in_a_removed_listeners_queue_are_served(stage: Stage, one: Named, how: str) -> None:
    """Case 24: the process is stopped while 200 clients and the removal arrive, then goes on: all are served."""
    shuttled = stage.shuttled(rings=2)
    for round_number in range(5):
        address = free_address()
        shuttled.admin.change("/web", web(address, one))
        shuttled.signal(signal.SIGSTOP)
        try:
            clients = [stage.connect(address) for _ in range(200)]
            answered = threading.Thread(
                target=lambda: (
                    shuttled.admin.remove("/web")
                    if how == "removed"
                    else shuttled.admin.change("/web", web(free_address(), one))
                )
            )
            answered.start()
            eventually(lambda: _unread(shuttled) > 0, "the request waits in the stopped process")
        finally:
            shuttled.signal(signal.SIGCONT)
        for number, client in enumerate(clients):
            assert read_line(client) == "one", f"round {round_number}: client {number} of 200"
            client.close()
        answered.join(10)
        assert not answered.is_alive()
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def _unread(shuttled: Shuttled) -> int:
    """Connections that wait at the admin endpoint (the receive queue of a listening socket is its accept queue)."""
    port = port_of(shuttled.http)
    waiting = 0
    for line in (open(f"/proc/{shuttled.view.pid}/net/tcp").read().splitlines())[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}"):
            waiting += int(fields[4].split(":")[1], 16)
    return waiting


@pytest.mark.time_limit(90)
def test_an_address_is_removed_and_added_again_under_load(stage: Stage, one: Named) -> None:
    """Case 26: 200 times; never is the address in use, and nothing is left behind."""
    address = free_address()
    shuttled = stage.shuttled([web(address, one)])
    with Knocking(address, threads=2) as knocking:
        for _ in range(200):
            shuttled.admin.remove("/web")
            shuttled.admin.change("/web", web(address, one))
    assert set(knocking.names) == {"one"}
    assert stage.name_at(address) == "one"
    assert len(shuttled.view.listeners()[port_of(address)]) == 1


# The same address through changes


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", ""])
def test_an_unchanged_address_keeps_its_socket_whatever_else_changes(
    stage: Stage, one: Named, two: Named, host: str
) -> None:
    address = f"{host}:{free_port()}"
    shuttled = stage.shuttled([web(address, one)])
    sockets = shuttled.view.listeners()[port_of(address)]
    assert len(sockets) == 1
    changes = [
        ("/web", web(address, two)),
        ("/web", web(address, one, balance="LC", client_timeout=60_000, check_interval=1000)),
        ("/web/two", backend("two", two.address)),
        ("/config", [web(address, one), service("other", free_address())]),
        ("/config", [service("renamed", address, [backend("one", one.address)])]),
    ]
    reached = f"127.0.0.1:{port_of(address)}" if not host else address
    for path, body in changes:
        shuttled.admin.change(path, body)
        assert shuttled.view.listeners()[port_of(address)] == sockets, f"after PUT {path} {body}"
        assert stage.name_at(reached) in ("one", "two")


def test_addresses_are_exchanged_between_services_without_closing(stage: Stage, one: Named, two: Named) -> None:
    first, second = free_address(), free_address()
    shuttled = stage.shuttled(
        [service("a", first, [backend("x", one.address)]), service("b", second, [backend("x", two.address)])]
    )
    sockets = shuttled.view.listeners()
    with Knocking(first) as at_first, Knocking(second) as at_second:
        for round_number in range(50):
            addresses = (first, second) if round_number % 2 else (second, first)
            shuttled.admin.change(
                "/config",
                [
                    service("a", addresses[0], [backend("x", one.address)]),
                    service("b", addresses[1], [backend("x", two.address)]),
                ],
            )
            assert (stage.name_at(addresses[0]), stage.name_at(addresses[1])) == ("one", "two")
    at_first.expect_all_served("one", "two")
    at_second.expect_all_served("one", "two")
    assert shuttled.view.listeners() == sockets, "the very same sockets"


def test_a_changed_address_is_bound_before_the_old_one_closes(stage: Stage, one: Named) -> None:
    """Whoever knows both addresses always reaches one of them."""
    addresses = a, b = free_address(), free_address()
    shuttled = stage.shuttled([web(a, one)])
    changes = 0
    # A listener that moves from a to b may be behind b when a refuses, and behind a when b had refused: of a, b, a or
    # b, a, b one takes the connection as long as the listener moves only once meanwhile.
    with Knocking(a, b, a, epoch=lambda: changes) as forward, Knocking(b, a, b, epoch=lambda: changes) as backward:
        while changes < 20:
            changes += 1
            shuttled.admin.change("/web", web(addresses[changes % 2], one))
            reached = forward.served, backward.served
            eventually(
                lambda: forward.served > reached[0] and backward.served > reached[1],
                lambda: f"both are served after change {changes}, active: {shuttled.active()}",
            )
    assert (forward.refused, backward.refused) == (0, 0)
    # See below: at most the connection that is being made while a socket closes.
    assert len(forward.lost) + len(backward.lost) <= changes, (forward.lost[:3], backward.lost[:3])


def test_an_address_changes_between_one_host_and_all_hosts(stage: Stage, one: Named) -> None:
    """`127.0.0.1:p` to `:p` and back, served all the time, and never by a stranger."""
    port = free_port()
    narrow, wide = f"127.0.0.1:{port}", f":{port}"
    shuttled = stage.shuttled([web(narrow, one)])
    rounds = 20
    with Knocking(narrow) as knocking:
        for _ in range(rounds):
            shuttled.admin.change("/web", web(wide, one))
            assert stage.name_at(f"[::1]:{port}") == "one"
            _stranger_is_refused(port)
            shuttled.admin.change("/web", web(narrow, one))
            with pytest.raises(ConnectionRefusedError):
                connect(f"[::1]:{port}")
            assert stage.name_at(narrow) == "one"
            _stranger_is_refused(port)
    assert knocking.refused == 0
    assert set(knocking.names) == {"one"}
    # The kernel gives one socket's queue to another only where net.ipv4.tcp_migrate_req says so: at most the connection
    # that is being made at the very moment of a change is lost.
    assert len(knocking.lost) <= 2 * rounds, knocking.lost[:3]
    code, said = stage.prepared([web(wide, one)]).run()
    assert code == 71, f"a second instance is refused as ever: {code}, {said}"


def _stranger_is_refused(port: int) -> None:
    # Not tried with SO_REUSEPORT: a port that was ever shared stays open to its own user's sockets that ask for that,
    # as long as it is bound at all; the kernel keeps this with the port, not with the sockets.
    for options in ([], [socket.SO_REUSEADDR]):
        with socket.socket() as stranger:
            for option in options:
                stranger.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError):
                stranger.bind(("127.0.0.1", port))
                stranger.listen()


# Two programs


@pytest.mark.parametrize("taken", ["service", "admin"])
def test_a_second_instance_on_the_same_address_says_so_and_ends(stage: Stage, one: Named, taken: str) -> None:
    """Case 33: exit code 71, the address in the message, and the first instance is not disturbed."""
    address = free_address()
    first = stage.shuttled([web(address, one)])
    if taken == "service":
        second, name = stage.prepared([service("fine", free_address()), web(address, one)]), address
    else:
        second, name = stage.prepared(http=first.http), first.http
    code, said = second.run()
    assert code == 71, said
    assert name in said and re.search("in use|already", said), said
    if taken == "service":
        assert "/1/address" in said, f"its place in the file is named: {said}"
    assert {stage.name_at(address) for _ in range(20)} == {"one"}


def test_a_start_waits_for_an_address_that_is_about_to_become_free(stage: Stage, one: Named) -> None:
    """The kernel closes the listeners of a process that was killed a moment after its end: a restart outlasts that."""
    with socket.create_server(("127.0.0.1", 0)) as predecessor:
        address = "{}:{}".format(*predecessor.getsockname())
        shuttled = stage.prepared([web(address, one)])
        shuttled.launch()
        eventually(lambda: "waiting for an address in use" in shuttled.log_text(), "it waits")
    shuttled.wait_ready()
    assert stage.name_at(address) == "one"


def test_an_address_that_may_not_be_bound_says_so(stage: Stage) -> None:
    """Exit code 71 for an address that is not this machine's, and for a port that this user may not have."""
    code, said = stage.prepared([service("web", "192.0.2.1:80")]).run()
    assert code == 71, said
    assert "192.0.2.1:80" in said
    if os.geteuid() == 0 and int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) > 80:
        instance = stage.prepared([service("web", "127.0.0.1:81")], without_capabilities=["net_bind_service"])
        code, said = instance.run()
        assert code == 71, said
        assert "127.0.0.1:81" in said and "CAP_NET_BIND_SERVICE" in said, said


def test_a_listener_reuses_the_address_of_its_own_old_connections(stage: Stage, one: Named) -> None:
    """Connections in TIME_WAIT do not keep a restarted shuttled from its address."""
    address = free_address()
    for _ in range(3):
        shuttled = stage.shuttled([web(address, one)], drain_timeout=0)
        clients = [stage.connect(address) for _ in range(20)]
        assert {read_line(client) for client in clients} == {"one"}
        shuttled.stop()
