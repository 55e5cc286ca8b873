"""Changes that say only what changes, and are made only where nobody else was faster."""

from __future__ import annotations

import threading
from typing import Any

from harness.admin import Response, Session
from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import read_exactly

WRITERS = 16
INCREMENTS = 16
BACKEND = "/v1/services/web/backends/b0"


def web(stage: Stage, **fields: Any) -> tuple[str, Shuttled]:
    address = free_address()
    peers = [stage.add(Echo()) for _ in range(2)]
    backends = [backend(f"b{i}", peer.address) for i, peer in enumerate(peers)]
    return address, stage.shuttled([service("web", address, backends, **fields)])


def echoes(stage: Stage, address: str) -> None:
    with stage.connect(address) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def test_a_patch_changes_what_it_says_and_no_connection_notices(stage: Stage) -> None:
    address, shuttled = web(stage, fall=3)
    with stage.connect(address) as held:
        held.sendall(b"a")
        assert read_exactly(held, 1) == b"a"
        shuttled.admin.change("/web", {"rise": 5, "backends": {"b0": {"weight": 7}}}, method="PATCH")
        found = shuttled.admin.get("/v1/services/web").expect(200).json
        assert (found["fall"], found["rise"]) == (3, 5)
        assert [b["weight"] for b in found["backends"]] == [7, 1]
        shuttled.admin.change("/web/b0", {"state": "drain"}, method="PATCH")
        shuttled.admin.change("/web", {"fall": None, "backends": {"b1": None}}, method="PATCH")
        found = shuttled.admin.get("/v1/services/web").expect(200).json
        assert found["fall"] == 2 and [b["name"] for b in found["backends"]] == ["b0"]
        shuttled.admin.change("/web/b0", {"state": None}, method="PATCH")
        echoes(stage, address)
        held.sendall(b"b")
        assert read_exactly(held, 1) == b"b"


def test_a_patch_that_is_wrong_somewhere_changes_nothing(stage: Stage) -> None:
    address, shuttled = web(stage)
    before = shuttled.admin.config_text()
    for patch, pointer in [
        ({"fall": 5, "rise": 0}, "/rise"),
        ({"fall": 5, "wieght": None}, "/wieght"),
        ({"fall": 5, "backends": {"b1": {"address": "nowhere"}}}, "/backends/b1/address"),
        ({"fall": 5, "queue_limit": 3}, ""),
        ({"fall": 5, "address": None}, "/address"),
    ]:
        problem = shuttled.admin.request("PATCH", "/web", json=patch).problem(400)
        if pointer:
            problem.points_to(pointer)
    assert shuttled.admin.config_text() == before
    echoes(stage, address)


class Writers:
    """Sixteen, of whom each adds one to a weight sixteen times by what it has read: from 0 to 256, the most there is.

    All have read the same before the first of them writes, so that they meet for certain.
    """

    def __init__(self, shuttled: Shuttled, is_conditional: bool) -> None:
        self._shuttled = shuttled
        self._is_conditional = is_conditional
        self._start = threading.Barrier(WRITERS, timeout=30)
        self.refused = 0
        self._lock = threading.Lock()
        self._faults: list[BaseException] = []

    def run(self) -> int:
        """The weight in the end."""
        writers = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        assert not any(writer.is_alive() for writer in writers)
        assert not self._faults, self._faults[0]
        return self._shuttled.admin.backend("web", "b0")["weight"]

    def _write(self, number: int) -> None:
        try:
            with self._shuttled.admin.open() as session:
                first = session.request("GET", BACKEND).expect(200)
                self._start.wait()
                for increment in range(INCREMENTS):
                    read = first if increment == 0 else None
                    while not self._add(session, number, read or session.request("GET", BACKEND).expect(200)):
                        read = None
        except BaseException as error:  # noqa: B902 - raised by run()
            self._faults.append(error)
            self._start.abort()

    def _add(self, session: Session, number: int, read: Response) -> bool:
        """Whether the weight is one more; half of the writers send the whole backend, the others what changes."""
        weight = {"weight": read.json["weight"] + 1}
        method, body = ("PATCH", weight) if number % 2 else ("PUT", read.json | weight)
        headers = {"Prefer": "return=minimal"} | ({"If-Match": read.headers["etag"]} if self._is_conditional else {})
        answer = session.request(method, "/web/b0", json=body, headers=headers)
        if answer.status == 204:
            assert answer.headers["etag"] != read.headers["etag"] or not self._is_conditional
            return True
        answer.problem(412)
        with self._lock:
            self.refused += 1
        return False


def test_of_many_writers_none_loses_an_update(stage: Stage) -> None:
    """A condition that fails tells who was too slow, and trying again makes the sum exact."""
    _, shuttled = web(stage)
    shuttled.admin.change("/web/b0", {"weight": 0}, method="PATCH")
    writers = Writers(shuttled, is_conditional=True)
    assert writers.run() == WRITERS * INCREMENTS
    assert writers.refused >= WRITERS - 1, "they never met, and nothing was shown"
    print(f"{writers.refused} times refused")


def test_without_conditions_updates_are_lost(stage: Stage) -> None:
    """The same writers, who ask for none: what the test before shows is not owed to luck."""
    _, shuttled = web(stage)
    shuttled.admin.change("/web/b0", {"weight": 0}, method="PATCH")
    writers = Writers(shuttled, is_conditional=False)
    assert writers.run() <= WRITERS * INCREMENTS - (WRITERS - 1)
    assert writers.refused == 0


def test_a_tag_does_not_hold_after_a_restart(stage: Stage) -> None:
    """Whoever read before cannot know what was changed since: the state file may have been edited."""
    _, shuttled = web(stage)
    tag = shuttled.admin.get("/config").expect(200).headers["etag"]
    same = shuttled.admin.get("/config", headers={"If-None-Match": tag})
    assert same.status == 304 and same.body == b""
    shuttled.stop()
    shuttled.start()
    assert shuttled.admin.get("/config", headers={"If-None-Match": tag}).status == 200
    shuttled.admin.put("/config", [], headers={"If-Match": tag}).problem(412)


def test_only_what_is_not_there_is_created(stage: Stage) -> None:
    _, shuttled = web(stage)
    once = {"If-None-Match": "*"}
    body = service("api", free_address())
    shuttled.admin.put("/api", body, headers=once).expect(200)
    shuttled.admin.put("/api", body, headers=once).problem(412).says("If-None-Match")
    shuttled.admin.delete("/api", headers={"If-Match": '"gone"'}).problem(412).says("Nothing was changed")
    assert [s["name"] for s in shuttled.admin.config()] == ["api", "web"]
