"""Backends that SRV records list, with a real DNS server: who they are, how much each gets, and how they change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from harness.dnsmasq import Dnsmasq, host, server
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import eventually

NAME = "_db._tcp.test"
MOVE_SECONDS = 8.0


@pytest.fixture
def peers(stage: Stage) -> list[Named]:
    return [stage.add(Named(name)) for name in ("a", "b", "c")]


def record(peer: Named, **fields: int) -> str:
    return server(NAME, f"{peer.name}.test", peer.port, **fields)


def hosts(peers: list[Named]) -> list[str]:
    return [host(f"{peer.name}.test", "127.0.0.1") for peer in peers]


def put_up(stage: Stage, *records: str, **fields: Any) -> tuple[Dnsmasq, Shuttled, str]:
    dns = stage.add(Dnsmasq(stage.directory / "dns", *records))
    address = free_address()
    own = {"weight": fields.pop("weight", 1), "check_address": fields.pop("check_address", "")}
    web = service("web", address, [backend("db", f"srv:{NAME}", **own)], **fields)
    return dns, stage.shuttled([web], arguments=["-resolver", dns.address]), address


def look(shuttled: Shuttled) -> dict[str, Any]:
    return shuttled.admin.service("web")["backends"][0]


def targets(shuttled: Shuttled) -> dict[str, dict[str, Any]]:
    return {target["name"]: target for target in look(shuttled)["targets"]}


def reached(stage: Stage, address: str, count: int) -> Counter[str]:
    return Counter(stage.name_at(address) for _ in range(count))


def test_every_target_gets_its_share(stage: Stage, peers: list[Named]) -> None:
    a, b, c = peers
    _, shuttled, address = put_up(
        stage, *hosts(peers), record(a, weight=1), record(b, weight=2), record(c, weight=3)
    )  # fmt: skip
    assert reached(stage, address, 60) == {"a": 10, "b": 20, "c": 30}
    assert {name: target["connections"] for name, target in targets(shuttled).items()} == {
        f"db@a.test:{a.port}": 10, f"db@b.test:{b.port}": 20, f"db@c.test:{c.port}": 30
    }  # fmt: skip
    whole = look(shuttled)
    assert whole["name"] == "db" and whole["address"] == f"srv:{NAME}" and whole["weight"] == 1
    assert whole["connections"] == 60 and whole["up"] and whole["resolve_error"] == ""
    assert shuttled.admin.config()[0]["backends"][0]["address"] == f"srv:{NAME}"
    # What was read can be written back, and stands alone under its name.
    shuttled.admin.put("/web", shuttled.admin.service("web")).expect(200)
    assert shuttled.admin.backend("web", "db")["connections"] == 60


def test_targets_come_and_go_while_sessions_run_on(stage: Stage, peers: list[Named]) -> None:
    a, b, c = peers
    dns, shuttled, address = put_up(stage, *hosts(peers), record(a), record(b))
    assert reached(stage, address, 10) == {"a": 5, "b": 5}
    session = stage.connect(address)
    session.recv(2)
    dns.serve(*hosts(peers), record(b), record(c))
    eventually(lambda: f"db@c.test:{c.port}" in targets(shuttled), "c comes", MOVE_SECONDS)
    assert list(targets(shuttled)) == [f"db@b.test:{b.port}", f"db@c.test:{c.port}"]
    assert reached(stage, address, 10) == {"b": 5, "c": 5}
    # b has been there all the time.
    assert targets(shuttled)[f"db@b.test:{b.port}"]["connections"] >= 10
    session.sendall(b"still here")
    assert session.recv(10) == b"still here"
    dns.serve(*hosts(peers), record(b, weight=3), record(c, weight=1))
    eventually(lambda: targets(shuttled)[f"db@b.test:{b.port}"]["weight"] == 3, "weights change", MOVE_SECONDS)
    assert reached(stage, address, 12) == {"b": 9, "c": 3}
    session.close()


def test_a_higher_priority_is_a_backup(stage: Stage, peers: list[Named]) -> None:
    a, b, _ = peers
    _, shuttled, address = put_up(
        stage, *hosts(peers), record(a, priority=1), record(b, priority=2),
        check_address=f"srv:{NAME}", check_interval=100,
    )  # fmt: skip
    assert reached(stage, address, 6) == {"a": 6}
    a.close()
    eventually(lambda: not targets(shuttled)[f"db@a.test:{a.port}"]["up"], "a is found to be down")
    assert reached(stage, address, 6) == {"b": 6}
    assert look(shuttled)["up"], "one of them is"


def test_what_srv_records_say_no_more_stays_in_use(stage: Stage, peers: list[Named]) -> None:
    a, b, _ = peers
    dns, shuttled, address = put_up(stage, *hosts(peers), record(a), record(b))
    dns.serve(*hosts(peers))
    eventually(lambda: "has no SRV records" in look(shuttled)["resolve_error"], "it is known", MOVE_SECONDS)
    assert reached(stage, address, 4) == {"a": 2, "b": 2}
    dns.serve(record(a), record(b))
    eventually(lambda: "resolve" in look(shuttled)["resolve_error"], "targets without address", 40.0)
    dns.stop()
    eventually(lambda: "do not answer" in look(shuttled)["resolve_error"], "the server is gone", 40.0)
    assert reached(stage, address, 4) == {"a": 2, "b": 2}
    dns.serve(*hosts(peers), record(b))
    eventually(lambda: list(targets(shuttled)) == [f"db@b.test:{b.port}"], "it follows again", 40.0)
    assert look(shuttled)["resolve_error"] == ""


def test_a_target_that_does_not_resolve_is_left_out_and_told(stage: Stage, peers: list[Named]) -> None:
    a, b, _ = peers
    _, shuttled, address = put_up(stage, *hosts([a]), record(a), record(b))
    assert reached(stage, address, 4) == {"a": 4}
    assert "b.test" in look(shuttled)["resolve_error"]


def test_a_name_without_records_is_refused(stage: Stage, peers: list[Named]) -> None:
    _, shuttled, _ = put_up(stage, *hosts(peers), record(peers[0]))
    problem = shuttled.admin.put("/web/other", backend("other", "srv:_none._tcp.test")).problem(400)
    problem.points_to("/address").says("_none._tcp.test", "SRV")
    shuttled.admin.put("/web/other", backend("other", "srv:_none._tcp.test:80")).problem(400).says("without a port")
    problem = shuttled.admin.put("/web/db", backend("db", f"srv:{NAME}", check_address="127.0.0.1:1")).problem(400)
    problem.points_to("/check_address").says("port alone")


def test_targets_are_checked_at_a_port_of_their_own(stage: Stage, peers: list[Named]) -> None:
    a, b, c = peers
    # Everyone's checks go to c's port, which is there until it is not.
    _, shuttled, _ = put_up(
        stage, *hosts(peers), record(a), record(b), check_address=f":{c.port}", check_interval=100
    )  # fmt: skip
    eventually(lambda: all(target["check_success"] > 0 for target in targets(shuttled).values()), "both are checked")
    c.close()
    eventually(lambda: not any(target["up"] for target in targets(shuttled).values()), "both are down")
    assert not look(shuttled)["up"]
