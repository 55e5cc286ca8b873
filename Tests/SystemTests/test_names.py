"""Backends by host name, with a real DNS server: when they move, when they stay, and what is said of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from harness.dnsmasq import Dnsmasq, Silent, alias, host
from harness.peers import Echo, Named
from harness.ports import free_address, free_port
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import connect, echoes
from harness.wait import Stopwatch, eventually, throughout

#: A time to live of a second is the shortest that counts; what follows from it is there a little later.
MOVE_SECONDS = 8.0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def peers(stage: Stage, port: int) -> list[Named]:
    """Servers of different hosts, on one port."""
    return [stage.add(Named(str(number), f"127.0.0.{number}:{port}")) for number in (1, 2, 3)]


def dns(stage: Stage, *records: str, **options: Any) -> Dnsmasq:
    return stage.add(Dnsmasq(stage.directory / "dns", *records, **options))


def named(stage: Stage, server: Dnsmasq, backend_address: str, **options: Any) -> tuple[Shuttled, str]:
    address = free_address()
    fields = options.pop("fields", {})
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", backend_address)], **fields)],
        arguments=["-resolver", server.address], **options,
    )  # fmt: skip
    return shuttled, address


def look(shuttled: Shuttled, name: str = "b") -> dict[str, Any]:
    return next(backend for backend in shuttled.admin.service("web")["backends"] if backend["name"] == name)


def test_a_backend_follows_its_name_within_its_time_to_live(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"))
    shuttled, address = named(stage, server, f"db.test:{port}")
    assert stage.name_at(address) == "1"
    before = look(shuttled)
    assert before["resolved_address"] == f"127.0.0.1:{port}" and before["resolve_error"] == ""
    assert before["address"] == f"db.test:{port}"
    # A session of before stays where it is.
    session = stage.connect(address)
    assert read_line(session) == "1"
    configuration = shuttled.admin.config()
    server.serve(host("db.test", "127.0.0.2"))
    eventually(lambda: stage.name_at(address) == "2", "new connections reach the new address", MOVE_SECONDS)
    moved = look(shuttled)
    assert moved["resolved_address"] == f"127.0.0.2:{port}" and moved["up"]
    # With another address it is another backend; the session belongs to the one before.
    eventually(lambda: look(shuttled)["active"] == 0, "the sessions of the new address have ended")
    assert shuttled.admin.config() == configuration
    assert peers[0].open_connections == 1 and shuttled.admin.service("web")["active"] == 1
    session.close()


def test_an_alias_is_followed_and_its_time_counts(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("one.test", "127.0.0.1"), alias("db.test", "one.test"))
    _, address = named(stage, server, f"db.test:{port}")
    assert stage.name_at(address) == "1"
    server.serve(host("two.test", "127.0.0.2"), alias("db.test", "two.test"))
    eventually(lambda: stage.name_at(address) == "2", "the alias is followed", MOVE_SECONDS)


def test_an_address_is_kept_as_long_as_the_name_has_it(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.2"))
    shuttled, address = named(stage, server, f"db.test:{port}")
    assert stage.name_at(address) == "2"
    server.serve(host("db.test", "127.0.0.1", "127.0.0.3", "127.0.0.2"))
    asked = server.questions("db.test")
    # dnsmasq turns the order of its answers round from one to the next.
    eventually(lambda: server.questions("db.test") >= asked + 3, "it is asked for again", MOVE_SECONDS)
    assert stage.name_at(address) == "2" and "has moved" not in shuttled.log_text()
    server.serve(host("db.test", "127.0.0.3"))
    eventually(lambda: stage.name_at(address) == "3", "it moves when it has to", MOVE_SECONDS)


def test_both_families_are_asked_for(stage: Stage, port: int) -> None:
    stage.add(Named("six", f"[::1]:{port}"))
    server = dns(stage, host("six.test", "::1"))
    shuttled, address = named(stage, server, f"six.test:{port}")
    assert look(shuttled)["resolved_address"] == f"[::1]:{port}"
    assert stage.name_at(address) == "six"
    # Of loopback addresses IPv4 comes first, where both are new.
    stage.add(Named("four", f"127.0.0.1:{port}"))
    server.serve(host("six.test", "::1", "127.0.0.1"))
    shuttled.admin.put("/web/b2", backend("b2", f"six.test:{port}"))
    assert look(shuttled, "b2")["resolved_address"] == f"[::1]:{port}", "one name has one address"
    server.serve(host("six.test", "127.0.0.1"))
    eventually(lambda: stage.name_at(address) == "four", "it moves to the other family", MOVE_SECONDS)


def test_what_dns_says_no_more_stays_in_use(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"))
    shuttled, address = named(stage, server, f"db.test:{port}")
    # First the name is gone, then the server, then both are back with another address.
    server.serve()
    eventually(lambda: "does not resolve" in look(shuttled)["resolve_error"], "it is known", MOVE_SECONDS)
    assert stage.name_at(address) == "1" and look(shuttled)["up"]
    assert look(shuttled)["resolved_address"] == f"127.0.0.1:{port}"
    server.stop()
    eventually(lambda: "do not answer" in look(shuttled)["resolve_error"], "it is known", MOVE_SECONDS)
    assert stage.name_at(address) == "1"
    # A change elsewhere is none of the name's business, and a name that was never known is refused as ever.
    shuttled.admin.put("/web/other", backend("other", f"127.0.0.3:{port}", weight=0)).expect(200)
    shuttled.admin.put("/web/new", backend("new", f"new.test:{port}")).problem(400).says("new.test")
    server.serve(host("db.test", "127.0.0.2"))
    eventually(lambda: stage.name_at(address) == "2", "it moves", 40.0)
    assert look(shuttled)["resolve_error"] == ""
    log = shuttled.log_text()
    assert log.count("host name fails") == 1, "told when it begins, not at every try"
    assert log.count("resolves again") == 1


def test_a_start_does_not_wait_for_a_name_that_does_not_resolve(
    stage: Stage, peers: list[Named], port: int
) -> None:
    server = dns(stage)
    address = free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", f"db.test:{port}"), backend("c", f"127.0.0.3:{port}")])],
        arguments=["-resolver", server.address],
    )
    assert stage.name_at(address) == "3" and stage.name_at(address) == "3"
    assert not look(shuttled)["up"] and look(shuttled)["resolved_address"] == "" and look(shuttled)["resolve_time"] == ""
    assert "db.test" in shuttled.log_text()
    server.serve(host("db.test", "127.0.0.1"))
    eventually(lambda: stage.name_at(address) == "1", "it comes into use", 40.0)
    assert look(shuttled)["up"] and look(shuttled)["resolve_time"] != ""


def test_an_interval_takes_the_place_of_the_time_to_live(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"), time_to_live=3600)
    shuttled, address = named(stage, server, f"db.test:{port}", fields={"resolve_interval": 1000})
    assert shuttled.admin.config()[0]["resolve_interval"] == 1000
    server.serve(host("db.test", "127.0.0.2"))
    eventually(lambda: stage.name_at(address) == "2", "it moves", MOVE_SECONDS)


def test_many_backends_of_one_name_ask_once(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"), time_to_live=2)
    address = free_address()
    backends = [backend(f"b{number}", f"db.test:{port}") for number in range(200)]
    shuttled = stage.shuttled([service("web", address, backends)], arguments=["-resolver", server.address])
    watch = Stopwatch()
    server.serve(host("db.test", "127.0.0.2"))
    eventually(lambda: stage.name_at(address) == "2", "all move", MOVE_SECONDS)
    assert {backend["resolved_address"] for backend in shuttled.admin.service("web")["backends"]} == {
        f"127.0.0.2:{port}"
    }
    # Once at the start, then every two seconds; some may have met the server that was being started anew.
    assert 2 <= server.questions("db.test") <= 3 + watch.seconds


def test_no_connection_fails_while_a_name_moves(stage: Stage, port: int) -> None:
    """Connections come without a pause, and sessions stay open, across ten moves between two servers."""
    for number in (1, 2):
        stage.add(Echo(f"127.0.0.{number}:{port}"))
    server = dns(stage, host("db.test", "127.0.0.1"))
    shuttled, address = named(stage, server, f"db.test:{port}")
    sessions = [stage.connect(address) for _ in range(20)]
    done = threading.Event()
    made = [0]
    faults: list[BaseException] = []

    def clients() -> None:
        try:
            while not done.is_set():
                with connect(address) as connection:
                    assert echoes(connection, b"ping")
                made[0] += 1
        except BaseException as error:  # noqa: B902 - looked at below
            faults.append(error)

    threads = [threading.Thread(target=clients, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for move in range(10):
            expected = f"127.0.0.{2 - move % 2}"
            server.serve(host("db.test", expected))
            eventually(
                lambda: look(shuttled)["resolved_address"] == f"{expected}:{port}", f"move {move}", 20.0
            )
            for session in sessions:
                assert echoes(session, b"still here")
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert not faults, faults
    assert made[0] > 100
    assert shuttled.log_text().count("has moved") == 10
    assert shuttled.admin.service("web")["errors"] == 0


def test_a_dns_server_that_is_silent_delays_nothing(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"))
    address = free_address()
    web = service(
        "web", address, [backend("b", f"db.test:{port}", check_address=f"db.test:{port}")], check_interval=100
    )
    shuttled = stage.shuttled([web], arguments=["-resolver", server.address])
    server.stop()
    stage.add(Silent(server.address))
    checks = look(shuttled)["check_success"]

    def answers_quickly() -> bool:
        watch = Stopwatch()
        shuttled.admin.get("/config").expect(200)
        shuttled.admin.put("/web/other", backend("other", f"127.0.0.3:{port}", weight=0)).expect(200)
        return watch.seconds < 1.0

    throughout(answers_quickly, "the admin endpoint answers at once", 4.0)
    assert stage.name_at(address) == "1"
    assert look(shuttled)["check_success"] >= checks + 10, "checks go on"


def test_a_moved_backend_is_checked_at_its_new_address_at_once(stage: Stage, peers: list[Named], port: int) -> None:
    """The new address is one where nobody listens; the checks of the old one must not speak for it."""
    server = dns(stage, host("db.test", "127.0.0.1"))
    address = free_address()
    backends = [
        backend("b", f"db.test:{port}", check_address=f"db.test:{port}"), backend("c", f"127.0.0.2:{port}")
    ]  # fmt: skip
    shuttled = stage.shuttled(
        [service("web", address, backends, check_interval=100)], arguments=["-resolver", server.address]
    )
    eventually(lambda: look(shuttled)["check_success"] > 0, "it is checked")
    server.serve(host("db.test", "127.0.0.8"))
    eventually(lambda: not look(shuttled)["up"], "its new address is found to be down", MOVE_SECONDS)
    assert look(shuttled)["check_success"] == 0, "with another address it is another backend"
    server.serve(host("db.test", "127.0.0.1"))
    eventually(lambda: look(shuttled)["up"], "it is up again", MOVE_SECONDS)


def test_nothing_is_written_when_a_name_moves(stage: Stage, peers: list[Named], port: int) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"))
    shuttled, address = named(stage, server, f"db.test:{port}", state=True)
    shuttled.admin.put("/web/c", backend("c", f"db.test:{port}", weight=0)).expect(200)
    written = shuttled.state_path.stat()
    server.serve(host("db.test", "127.0.0.2"))
    eventually(lambda: stage.name_at(address) == "2", "it moves", MOVE_SECONDS)
    now = shuttled.state_path.stat()
    assert (now.st_ino, now.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert "db.test" in shuttled.state_path.read_text() and "127.0.0.2" not in shuttled.state_path.read_text()


def test_what_was_read_of_a_backend_with_a_name_can_be_written_back(
    stage: Stage, peers: list[Named], port: int
) -> None:
    server = dns(stage, host("db.test", "127.0.0.1"))
    shuttled, _ = named(stage, server, f"db.test:{port}")
    shuttled.admin.put("/web", shuttled.admin.service("web")).expect(200)
    assert shuttled.admin.config()[0]["backends"][0]["address"] == f"db.test:{port}"
