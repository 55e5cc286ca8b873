"""Failures that real traffic sees: they take a backend out, for a time or until a check is good."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

from harness.peers import Named, Refusing, Scripted, send_then_reset
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import finish, random_bytes, read_exactly, read_to_end, reset
from harness.wait import Stopwatch, eventually, throughout


def entry(shuttled: Shuttled, name: str = "bad") -> dict[str, Any]:
    return shuttled.admin.backend("web", name)


def with_a_good_one(stage: Stage, bad: str, **fields: Any) -> tuple[Shuttled, str]:
    """A service of a backend that fails and one that answers with its name."""
    address = free_address()
    backends = [backend("bad", bad), backend("good", stage.add(Named("good")).address)]
    return stage.shuttled([service("web", address, backends, **fields)]), address


def fail_until_out(stage: Stage, shuttled: Shuttled, address: str, use: Callable[[], object]) -> int:
    """Uses the service until the backend is out; how often it was used."""
    uses = 0

    def is_out() -> bool:
        nonlocal uses
        use()
        uses += 1
        return entry(shuttled)["ejected"]

    eventually(is_out, "the backend is ejected")
    return uses


def test_refused_connects_take_a_backend_out_and_its_time_brings_it_back(stage: Stage) -> None:
    refusing = stage.add(Refusing())
    shuttled, address = with_a_good_one(stage, refusing.address, passive={"failures": 5, "down_time": 700})
    assert entry(shuttled) | {"up": True, "ejected": False, "ejections": 0} == entry(shuttled)
    assert "last_failure" not in entry(shuttled)
    uses = fail_until_out(stage, shuttled, address, lambda: stage.name_at(address))
    watch = Stopwatch()
    seen = entry(shuttled)
    assert (seen["up"], seen["ejections"], seen["last_failure"]) == (False, 1, "connection refused")
    assert 5 <= seen["errors"] <= uses
    assert {stage.name_at(address) for _ in range(20)} == {"good"}
    assert entry(shuttled)["errors"] == seen["errors"], "no client meets it any more"
    assert "ejected" in shuttled.log_path.read_text()
    eventually(lambda: entry(shuttled)["up"], "it is back")
    assert watch.seconds > 0.5, "not before its time"
    assert not entry(shuttled)["ejected"]
    fail_until_out(stage, shuttled, address, lambda: stage.name_at(address))
    assert entry(shuttled)["ejections"] == 2
    assert shuttled.admin.service("web")["panics"] == 0


@pytest.mark.parametrize("first", [b"", b"hello"], ids=["before", "after"])
def test_resets_count_before_the_first_byte(stage: Stage, first: bytes) -> None:
    resetting = stage.add(Scripted(send_then_reset(first)))
    shuttled, address = with_a_good_one(stage, resetting.address)

    def use() -> None:
        # The reset may be there before the connect has returned.
        with contextlib.suppress(ConnectionResetError), stage.connect(address) as client:
            finish(client)
            read_to_end(client)

    if first:
        for _ in range(30):
            use()
        eventually(lambda: entry(shuttled)["errors"] >= 15, "the resets are counted as errors")
        throughout(lambda: entry(shuttled)["up"], "and are nothing against it", 0.3)
        assert "last_failure" not in entry(shuttled)
    else:
        fail_until_out(stage, shuttled, address, use)
        assert entry(shuttled)["last_failure"] == "reset before the first byte"


@pytest.mark.parametrize("mebibytes", [1, 12], ids=["little", "much"])
def test_who_has_taken_much_has_served(stage: Stage, mebibytes: int) -> None:
    """A backend that only takes uploads, never says a byte and ends by a reset."""
    data = random_bytes("upload", mebibytes << 20)

    def take(connection: socket.socket) -> None:
        read_exactly(connection, len(data))
        reset(connection)

    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("bad", stage.add(Scripted(take)).address)])])

    def upload() -> None:
        with stage.connect(address) as client, contextlib.suppress(ConnectionError):
            client.sendall(data)
            read_to_end(client)

    if mebibytes < 8:
        fail_until_out(stage, shuttled, address, upload)
        assert entry(shuttled)["last_failure"] == "reset before the first byte"
    else:
        for _ in range(7):
            upload()
        eventually(lambda: entry(shuttled)["errors"] == 7, "the resets are counted as errors")
        throughout(lambda: entry(shuttled)["up"], "and are nothing against it", 0.3)
        assert "last_failure" not in entry(shuttled)


def test_with_checks_only_a_good_one_brings_it_back(stage: Stage) -> None:
    """The checks' address is another one, so that they can be good or not as the test wants it."""
    refusing, check = stage.add(Refusing()), stage.add(Refusing())
    address = free_address()
    backends = [
        backend("bad", refusing.address, check_address=check.address),
        backend("good", stage.add(Named("good")).address),
    ]
    # Checks fail all the time, and too seldom in a row to say anything.
    passive = {"failures": 5, "down_time": 100}
    shuttled = stage.shuttled([service("web", address, backends, check_interval=50, fall=1000, passive=passive)])
    fail_until_out(stage, shuttled, address, lambda: stage.name_at(address))
    throughout(lambda: entry(shuttled)["ejected"], "its time does not bring it back", 0.6)
    backends[0]["check_address"] = stage.add(Named("checked")).address
    shuttled.admin.change("/web/bad", backends[0])
    eventually(lambda: entry(shuttled)["up"], "a good check does")
    assert not entry(shuttled)["ejected"]


def test_one_of_two_stays_and_a_lone_one_does_not(stage: Stage) -> None:
    address = free_address()
    backends = [backend(name, stage.add(Refusing()).address) for name in ("one", "two")]
    shuttled = stage.shuttled([service("web", address, backends)])

    def use() -> None:
        with stage.connect(address) as client:
            finish(client)
            read_to_end(client)

    def panics() -> int:
        use()
        return shuttled.admin.service("web")["panics"]

    eventually(lambda: panics() >= 1, "both fail, and one is let stay")
    assert sorted(b["up"] for b in shuttled.admin.service("web")["backends"]) == [False, True]
    shuttled.admin.remove("/web/two")

    def is_out() -> bool:
        use()
        return entry(shuttled, "one")["ejected"]

    eventually(is_out, "the one that is left is out")
    shuttled.wait_idle()
    errors = entry(shuttled, "one")["errors"]
    for _ in range(10):
        use()
    shuttled.wait_idle()
    assert entry(shuttled, "one")["errors"] == errors, "nobody is connected to"
    shuttled.admin.change("/web", service("web", address, backends[:1], passive={"failures": 0}))
    assert entry(shuttled, "one")["up"], "turned off, it is back with the answer"


def test_a_backends_own_rule_stands_in_place_of_the_services(stage: Stage) -> None:
    refusing = stage.add(Refusing())
    shuttled, address = with_a_good_one(stage, refusing.address)
    shuttled.admin.change("/web/bad", backend("bad", refusing.address, passive={"failures": 0}))
    assert shuttled.admin.config()[0]["backends"][0]["passive"]["failures"] == 0
    assert "passive" not in shuttled.admin.config()[0], "what has its default is not printed"
    for _ in range(30):
        assert stage.name_at(address) == "good"
    throughout(lambda: entry(shuttled)["up"], "it stays", 0.3)
    shuttled.admin.put("/web/bad", backend("bad", refusing.address, passive={"failure": 1})).problem(400).points_to(
        "/passive/failure"
    )
