"""Waiting for what a change leads to: a rolling deploy is to drain a backend, to wait, and to replace it.

Leaves to `AdminWaitTests` the parameters and the places, to `ServiceWaitTests` who is in the way of what.
"""

from __future__ import annotations

import signal
import socket
import threading

import pytest

from harness.admin import Response
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.wait import Stopwatch, eventually

DRAINED = "/v1/services/web/wait?until=drained"
HEALTHY = "/v1/services/web/wait?until=healthy"


class Waiting:
    """A request that waits, on a thread of its own."""

    def __init__(self, shuttled: Shuttled, path: str) -> None:
        self._answer: list[Response | BaseException] = []
        self._shuttled, self._path = shuttled, path
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer.append(self._shuttled.admin.get(self._path))
        except BaseException as error:  # told to who asks for the answer
            self._answer.append(error)

    @property
    def is_over(self) -> bool:
        return bool(self._answer)

    def answer(self) -> Response:
        eventually(lambda: self.is_over, f"{self._path} is answered")
        answer = self._answer[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_a_rolling_deploy_is_to_drain_to_wait_and_to_replace(stage: Stage) -> None:
    old, new = stage.add(Named("old")), stage.add(Named("new"))
    address = free_address()
    checked = {"check_interval": 20, "rise": 1, "fall": 1}
    shuttled = stage.shuttled(
        [service("web", address, [backend("one", old.address, check_address=old.address)], **checked)]
    )
    held = stage.connect(address)
    assert read_line(held) == "old"

    shuttled.admin.change("/web/one", {"state": "drain"}, method="PATCH")
    waiting = Waiting(shuttled, DRAINED + "&backend=one&timeout=5m")
    shuttled.admin.get(DRAINED + "&timeout=200ms").problem(408).points_to("/backends/0/active").says("one", "1 active")
    assert not waiting.is_over, "it has a session"
    held.close()
    answer = waiting.answer().expect(200).json
    assert answer["backends"] == [{"name": "one", "state": "drain", "up": True, "active": 0}]

    shuttled.admin.change("/web/one", backend("one", new.address, check_address=new.address))
    seen = shuttled.admin.get(HEALTHY).expect(200).json
    assert [entry["name"] for entry in seen["backends"]] == ["one"]
    assert shuttled.admin.backend("web", "one")["check_success"] > 0, "it has been checked"
    assert stage.name_at(address) == "new"


def test_a_backend_that_is_down_is_not_healthy_until_its_checks_are_good(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address, dead = free_address(), free_address()
    checked = {"check_interval": 20, "rise": 1, "fall": 1}
    shuttled = stage.shuttled([service("web", address, [backend("one", one.address, check_address=dead)], **checked)])
    shuttled.admin.get(HEALTHY + "&timeout=100ms").problem(408).points_to("/backends/0/up")
    waiting = Waiting(shuttled, HEALTHY + "&timeout=1m")
    host, port = dead.rsplit(":", 1)
    listener = stage.add(socket.create_server((host, int(port))))
    assert waiting.answer().expect(200).json["backends"][0]["up"], listener


def test_what_goes_away_while_it_is_waited_for_is_not_found(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address, state="drain"), backend("c", one.address)])])
    shuttled.admin.change("/web/b", {"state": "ready"}, method="PATCH")
    shuttled.admin.change("/web/c", {"state": "drain"}, method="PATCH")
    held = stage.connect(address)
    assert read_line(held) == "one"
    shuttled.admin.change("/web/b", {"state": "drain"}, method="PATCH")
    backend_waits, service_waits = Waiting(shuttled, DRAINED + "&backend=b"), Waiting(shuttled, DRAINED)
    shuttled.admin.get(DRAINED + "&timeout=100ms").problem(408)
    assert not backend_waits.is_over and not service_waits.is_over
    shuttled.admin.change("/web/b", {"state": "ready"}, method="PATCH")
    backend_waits.answer().problem(409).says("drain")
    assert service_waits.answer().expect(200).json["backends"][0]["name"] == "c"
    shuttled.admin.change("/web/b", {"state": "drain"}, method="PATCH")
    service_waits = Waiting(shuttled, DRAINED)
    shuttled.admin.get(DRAINED + "&timeout=100ms").problem(408)
    shuttled.admin.remove("/web")
    service_waits.answer().problem(404).says("web")
    shuttled.admin.get(DRAINED).problem(404)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_client_that_leaves_waits_no_more(stage: Stage, kind: str) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    options = {} if kind == "tcp" else {"http": str(stage.directory / "admin.sock")}
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], **options)
    held = stage.connect(address)
    assert read_line(held) == "one"
    shuttled.admin.change("/web/b", {"state": "drain"}, method="PATCH")
    before = shuttled.view.census().others
    clients = [shuttled.admin.connect() for _ in range(24)]
    for client in clients:
        client.sendall(shuttled.admin.head("GET", DRAINED + "&timeout=1h"))
    eventually(
        lambda: shuttled.admin.get(DRAINED + "&timeout=0").status == 503,
        "every place for those who wait is taken",
    )
    shuttled.admin.get(DRAINED + "&timeout=0").problem(503).says("24")
    for client in clients:
        client.close()
    eventually(lambda: shuttled.admin.get(DRAINED + "&timeout=0").status == 408, "they are noticed to have left")
    eventually(lambda: shuttled.view.census().others <= before, "their descriptors are closed")


def test_the_end_of_shuttled_answers_those_who_wait(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    held = stage.connect(address)
    assert read_line(held) == "one"
    shuttled.admin.change("/web/b", {"state": "drain"}, method="PATCH")
    waiting = Waiting(shuttled, DRAINED + "&timeout=1h")
    shuttled.admin.get(DRAINED + "&timeout=100ms").problem(408)
    clock = Stopwatch()
    shuttled.signal(signal.SIGTERM)
    waiting.answer().problem(503).says("shutting down")
    assert clock.seconds < 2.5, "at once, not when the sessions have been cut"
    held.close()
    assert shuttled.exit_code() == 0
