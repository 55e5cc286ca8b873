"""A change with `?confirm=` is taken back by itself unless somebody confirms it, over kills and restarts.

Leaves to `ControlPlaneConfirmationTests` disks that fail, and what may come beside a change that waits.
"""

from __future__ import annotations

import json
import signal
import time

import pytest

from harness.admin import Response
from harness.events import Events
from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import read_exactly
from harness.wait import eventually


def patch(shuttled: Shuttled, path: str, json: object) -> Response:
    return shuttled.admin.request("PATCH", path, json=json)


def pending(shuttled: Shuttled) -> list[int]:
    return [change["id"] for change in shuttled.admin.get("/v1/confirm").expect(200).json["pending"]]


def kill(shuttled: Shuttled) -> None:
    shuttled.signal(signal.SIGKILL)
    shuttled.exit_code()


@pytest.mark.parametrize("state", [False, True])
def test_what_nobody_confirms_is_taken_back(stage: Stage, state: bool) -> None:
    address = free_address()
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    echo, echo_address = stage.add(Echo()), free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", one.address)]), service("echo", echo_address, [backend("b", echo.address)])],
        state=state,
    )
    events = stage.add(Events(shuttled.admin))
    before = shuttled.admin.config()
    with stage.connect(echo_address) as client:
        answer = shuttled.admin.put("/web?confirm=4s", service("web", address, [backend("b", two.address)])).expect(200)
        number = int(answer.headers["confirm-id"])
        assert answer.headers["confirm-until"] > events.wait_for("change")["time"]
        assert read_line(stage.connect(address)) == "two"
        detail = shuttled.admin.get(f"/v1/confirm/{number}").expect(200).json
        assert detail["services"] == ["web"] and detail["request"] == "PUT /web?confirm=4s"
        assert 0 < detail["remaining_milliseconds"] <= 4000
        assert detail["diff"] == [f'~ backend web/b: address: "{one.address}" -> "{two.address}"']
        assert events.wait_for("confirm-pending")["id"] == number
        # What others do meanwhile stays.
        patch(shuttled, "/echo", {"fall": 7}).expect(200)
        assert events.wait_for("reverted")["id"] == number
        assert read_line(stage.connect(address)) == "one"
        assert shuttled.admin.config() == [{**before[0], "fall": 7}, before[1]]
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    shuttled.admin.post(f"/v1/confirm/{number}").problem(409).says("taken back")
    newest = shuttled.admin.get("/v1/history?limit=1").json["entries"][0]
    assert newest["source"] == "confirm-timeout" and newest["peer"] == "shuttled"


def test_what_is_confirmed_stays_and_what_is_deleted_goes_at_once(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    answer = patch(shuttled, "/web?confirm=1h", {"fall": 5}).expect(200)
    number = answer.headers["confirm-id"]
    minimal = shuttled.admin.post(f"/v1/confirm/{number}", headers={"Prefer": "return=minimal"}).expect(204)
    assert minimal.body == b"" and pending(shuttled) == []
    # The answer to the first may have been lost.
    assert shuttled.admin.post(f"/v1/confirm/{number}").expect(200).json[0]["fall"] == 5
    shuttled.admin.delete(f"/v1/confirm/{number}").problem(409).says("confirmed")

    number = shuttled.admin.delete("/web?confirm=1h").expect(200).headers["confirm-id"]
    assert shuttled.admin.config() == [] and pending(shuttled) == [int(number)]
    tag = shuttled.admin.get("/config").headers["etag"]
    shuttled.admin.delete(f"/v1/confirm/{number}", headers={"If-Match": '"other"'}).problem(412)
    restored = shuttled.admin.delete(f"/v1/confirm/{number}", headers={"If-Match": tag}).expect(200)
    assert restored.json[0]["fall"] == 5 and "confirm-id" not in restored.headers
    # What changes nothing has nothing to confirm; what is only tried neither.
    assert "confirm-id" not in patch(shuttled, "/web?confirm=1h", {"fall": 5}).expect(200).headers
    assert "confirm-id" not in patch(shuttled, "/web?confirm=1h&dry_run=1", {"fall": 6}).expect(200).headers
    assert pending(shuttled) == []


def test_one_waits_at_a_time_and_its_services_are_left_alone(stage: Stage) -> None:
    address = free_address()
    shuttled = stage.shuttled([service("web", address), service("api", free_address())])
    number = shuttled.admin.change(f"/web?confirm=1h", service("web", free_address())) and pending(shuttled)[0]
    for path, body in (("/web", {"fall": 9}), ("/api?confirm=1h", {"fall": 9}), ("/api?confirm=1h&dry_run=1", {"fall": 9})):
        problem = patch(shuttled, path, body).problem(409).says(f"/v1/confirm/{number}")
        assert 3000 < int(problem.response.headers["retry-after"]) <= 3600
    shuttled.admin.put("/config", []).problem(409).says('"web"')
    # Its old address is where it goes back to.
    shuttled.admin.put("/new", service("new", address)).problem(409).says(address)
    patch(shuttled, "/api", {"fall": 9}).expect(200)
    shuttled.admin.delete(f"/v1/confirm/{number}").expect(200)
    assert shuttled.admin.service("web")["address"] == address


def test_it_waits_on_after_a_kill(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    number = patch(shuttled, "/web?confirm=1h", {"fall": 5}).expect(200).headers["confirm-id"]
    kill(shuttled)
    shuttled.start()
    assert pending(shuttled) == [int(number)]
    shuttled.admin.post(f"/v1/confirm/{number}").expect(200)
    kill(shuttled)
    shuttled.start()
    assert pending(shuttled) == [] and shuttled.admin.service("web")["fall"] == 5
    assert not [p for p in shuttled.directory.iterdir() if p.name.endswith(".pending")]


def test_it_is_taken_back_by_the_start_when_its_time_is_over(stage: Stage) -> None:
    address = free_address()
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], state=True)
    patch(shuttled, "/web/b?confirm=1s", {"address": two.address}).expect(200)
    until = time.monotonic() + 1.0
    kill(shuttled)
    eventually(lambda: time.monotonic() > until, "its time is over")
    shuttled.start()
    assert read_line(stage.connect(address)) == "one"
    assert pending(shuttled) == []
    assert shuttled.admin.get("/v1/history?limit=1").json["entries"][0]["source"] == "confirm-timeout"
    [state] = [p for p in shuttled.directory.iterdir() if p.name == "state.json"]
    assert json.loads(state.read_bytes()) == shuttled.admin.config()


def test_it_is_taken_back_after_a_restart_in_between(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    patch(shuttled, "/web?confirm=8s", {"fall": 5}).expect(200)
    kill(shuttled)
    shuttled.start()
    assert shuttled.admin.service("web")["fall"] == 5
    eventually(lambda: shuttled.admin.service("web")["fall"] == 2, "it is taken back", deadline=30)


def test_what_is_asked_wrongly_is_refused(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    for value in ("", "0", "60", "999ms", "25h", "-1s", "1d", "x"):
        patch(shuttled, f"/web?confirm={value}", {"fall": 5}).problem(400).says(f'"{value}"', "from 1s to 24h")
    patch(shuttled, "/web?confirm=1s&confirm=2s", {"fall": 5}).problem(400).says("more than once")
    patch(shuttled, "/web?confirms=1s", {"fall": 5}).problem(400).says("did you mean confirm?")
    for number in ("1", "01", "x", "99999999999999999999"):
        for method in ("GET", "POST", "DELETE"):
            shuttled.admin.request(method, f"/v1/confirm/{number}").problem(404)
    assert shuttled.admin.put("/v1/confirm/1").problem(405).response.headers["allow"] == "GET, HEAD, POST, DELETE"
    shuttled.admin.post("/v1/confirm/1?x=1").problem(400)
    assert shuttled.admin.service("web")["fall"] == 2
