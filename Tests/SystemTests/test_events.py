"""What `/v1/events` tells of a running shuttled, to whom, and from where on.

Leaves to `AdminEventsTests` the form, the filter and the places, to `LimitWatchTests` when limits begin and end.
"""

from __future__ import annotations

import signal
import socket

from harness.events import Events
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import backend, service
from harness.stage import Stage, read_line
from harness.wait import eventually


def test_changes_are_told_with_who_made_them_and_their_versions(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    events = stage.add(Events(shuttled.admin))
    before = shuttled.admin.get("/config").headers["etag"].strip('"')
    changed = shuttled.admin.put("/web/one", {"address": "127.0.0.1:1"}).expect(200)
    told = events.wait_for("change")
    assert told["request"] == "PUT /web/one"
    assert told["from"].startswith("127.0.0.1:")
    assert "web/one" in told["changes"]
    assert told["previous_version"] == before
    assert told["version"] == shuttled.admin.get("/config").headers["etag"].strip('"') != before
    # A change that is refused, or that changes nothing, is none.
    shuttled.admin.put("/web/one", {"address": "nowhere"}).problem(400)
    shuttled.admin.put("/web/one", {"address": "127.0.0.1:1"}).expect(200)
    shuttled.admin.remove("/web/one")
    events.wait_for("change", request="DELETE /web/one")
    assert len(events.of("change")) == 2, changed


def test_backends_go_down_and_come_up_with_the_reason(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address, dead = free_address(), free_address()
    passive = {"failures": 1, "window": 10000, "down_time": 100}
    shuttled = stage.shuttled(
        [
            service("checked", free_address(), [backend("b", one.address, check_address=dead)], check_interval=20),
            service("used", address, [backend("b", dead)], passive=passive),
        ]
    )
    events = stage.add(Events(shuttled.admin, "?types=backend-up,backend-down&last_event_id=0"))
    assert "refused" in events.wait_for("backend-down", service="checked", cause="check", backend="b")["reason"]
    stage.connect(address)
    assert "refused" in events.wait_for("backend-down", service="used", cause="traffic", backend="b")["reason"]
    events.wait_for("backend-up", service="used", cause="traffic")
    host, port = dead.rsplit(":", 1)
    stage.add(socket.create_server((host, int(port))))
    events.wait_for("backend-up", service="checked", cause="check")
    assert {event["event"] for event in events.all} == {"backend-up", "backend-down"}


def test_a_limit_is_told_when_it_begins_and_when_it_ends(stage: Stage) -> None:
    one = stage.add(Named("one"))
    full, crowded = free_address(), free_address()
    shuttled = stage.shuttled(
        [
            service("full", full, [backend("b", one.address)], max_connections=1),
            service("crowded", crowded, [backend("b", one.address)], max_connections=1, queue_limit=1),
        ]
    )
    events = stage.add(Events(shuttled.admin, "?types=limit-begin,limit-end"))
    for address in (full, crowded):
        held = stage.connect(address)
        assert read_line(held) == "one"
    stage.connect(crowded)
    eventually(lambda: shuttled.admin.service("crowded")["queued"] == 1, "one waits")
    for _ in range(20):
        for address in (full, crowded):
            refused = stage.connect(address)
            assert refused.recv(1) == b"", "it is closed at once"
    begun = events.wait_for("limit-begin", service="full", limit="max_connections")
    assert 1 <= begun["count"] <= 20
    events.wait_for("limit-begin", service="crowded", limit="queue_limit")
    ended = events.wait_for("limit-end", service="full", limit="max_connections", deadline=20)
    assert ended["count"] == 20
    events.wait_for("limit-end", service="crowded", limit="queue_limit", count=20)
    assert len(events.all) == 4, "not one for each connection"


def test_the_end_of_a_drain_is_told(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    events = stage.add(Events(shuttled.admin))
    held = stage.connect(address)
    assert read_line(held) == "one"
    shuttled.admin.change("/web/b", {"state": "drain"}, method="PATCH")
    events.wait_for("change")
    assert not events.of("backend-drained")
    held.close()
    events.wait_for("backend-drained", service="web", backend="b")


def test_an_address_that_cannot_be_had_is_told(stage: Stage) -> None:
    one = stage.add(Named("one"))
    shuttled = stage.shuttled()
    events = stage.add(Events(shuttled.admin))
    shuttled.admin.put("/web", service("web", one.address)).problem(409)
    told = events.wait_for("listen-failed", request="PUT /web", pointer="/address")
    assert one.address in told["reason"] and "in use" in told["reason"]


def test_what_becomes_of_a_hangup_is_told(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    events = stage.add(Events(shuttled.admin))
    shuttled.write_config([service("new", free_address())])
    shuttled.signal(signal.SIGHUP)
    assert events.wait_for("reload", trigger="SIGHUP", outcome="applied")["file"].endswith("config.json")
    assert events.wait_for("change", request="SIGHUP")["from"].endswith("config.json")
    shuttled.write_config("[{]")
    shuttled.signal(signal.SIGHUP)
    assert "config.json:1:" in events.wait_for("reload", outcome="refused")["detail"]


def test_who_comes_again_after_a_restart_is_told_so(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    events = stage.add(Events(shuttled.admin, "?last_event_id=0"))
    assert events.wait_for("start")["services"] == 1
    shuttled.admin.remove("/web")
    last = events.wait_for("change")["id"]
    again = stage.add(Events(shuttled.admin, last_event_id=last))
    shuttled.admin.put("/web", service("web", free_address())).expect(200)
    assert again.wait_for("change")["request"] == "PUT /web"
    assert not again.of("missed") and len(again.all) == 1

    shuttled.signal(signal.SIGTERM)
    assert again.wait_for("stop", phase="draining")["sessions"] == 0
    again.wait_for("stop", phase="drained")
    eventually(lambda: again.is_over, "the stream ends")
    assert again.is_whole
    assert shuttled.exit_code() == 0

    shuttled.start()
    after = stage.add(Events(shuttled.admin, last_event_id=again.last_id))
    assert after.wait_for("missed")["reason"] == "other-process"
    after.wait_for("start")
    shuttled.admin.remove("/web")
    after.wait_for("change")
    seen = {event["id"] for event in events.all + again.all}
    assert not seen & {event["id"] for event in after.all if event["event"] != "missed"}, "no id is given twice"


def test_what_is_kept_can_be_had_alone(stage: Stage) -> None:
    shuttled = stage.shuttled()
    shuttled.admin.change("/web", service("web", free_address()))
    kept = shuttled.admin.get("/v1/events?last_event_id=0&follow=0").expect(200)
    assert kept.body.count(b"\nevent: ") == 2, kept
    assert b"\nevent: " not in shuttled.admin.get("/v1/events?follow=0").expect(200).body, "nothing is to come"
    for value in ("2", "", "yes"):
        shuttled.admin.get(f"/v1/events?follow={value}").problem(400).says("follow", "0")
    events = stage.add(Events(shuttled.admin, "?follow=1&last_event_id=0"))
    eventually(lambda: len(events.all) == 2, "the stream goes on")
    assert not events.is_over
