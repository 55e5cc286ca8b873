"""What was changed is remembered, over restarts and crashes, and can be made so again."""

from __future__ import annotations

import datetime
import signal
from typing import Any

import pytest

from harness import json_patch
from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import read_exactly


def entries(shuttled: Shuttled, query: str = "") -> list[dict[str, Any]]:
    return shuttled.admin.get(f"/v1/history{query}").expect(200).json["entries"]


@pytest.mark.parametrize("state", [False, True])
def test_it_says_who_changed_what(stage: Stage, state: bool) -> None:
    address = free_address()
    shuttled = stage.shuttled([service("web", address)], state=state)
    before = shuttled.admin.config()
    tag = shuttled.admin.request("PATCH", "/web", json={"fall": 5}).expect(200)
    newest, start = entries(shuttled)
    assert (newest["id"], newest["source"], newest["method"], newest["target"]) == (2, "http", "PATCH", "/web")
    assert newest["peer"].startswith("127.0.0.1:") and newest["token"] is None
    assert newest["diff"] == ["~ service web: fall: 2 -> 5"]
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(newest["time"])
    assert abs(age.total_seconds()) < 60
    assert (start["id"], start["source"]) == (1, "startup")
    detail = shuttled.admin.get("/v1/history/2").expect(200).json
    assert json_patch.apply(before, detail["patch"]) == tag.json
    whole = shuttled.admin.get("/config").headers["etag"].strip('"')
    assert detail["version"] == whole
    # What was only tried, or was nothing, is no change.
    shuttled.admin.request("DELETE", "/web?dry_run=1").expect(200)
    shuttled.admin.request("PATCH", "/web", json={"fall": 5}).expect(200)
    assert len(entries(shuttled)) == 2


def test_what_was_can_be_made_so_again(stage: Stage) -> None:
    address = free_address()
    peer = stage.add(Echo())
    shuttled = stage.shuttled([service("web", address, [backend("one", peer.address)])], state=True)
    texts = [shuttled.admin.config_text()]
    for fall in (3, 4):
        shuttled.admin.change("/web", {"fall": fall}, method="PATCH")
        texts.append(shuttled.admin.config_text())
    shuttled.admin.remove("/web")
    assert shuttled.admin.config() == []

    tried = shuttled.admin.post("/v1/history/2/restore?dry_run=1").expect(200).json
    assert tried["effects"]["services"]["added"] == ["web"]
    assert shuttled.admin.config() == []
    shuttled.admin.post("/v1/history/2/restore", headers={"If-Match": '"1"'}).problem(412)
    tag = shuttled.admin.get("/config").headers["etag"]
    shuttled.admin.post("/v1/history/2/restore", headers={"If-Match": tag}).expect(200)
    assert shuttled.admin.config_text() == texts[1]
    with stage.connect(address) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        # Restoring keeps who is connected.
        for number in (1, 3):
            assert shuttled.admin.post(f"/v1/history/{number}/restore").expect(200).body == texts[number - 1]
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    assert [e["target"] for e in entries(shuttled, "?limit=2")] == ["/v1/history/3/restore", "/v1/history/1/restore"]


def test_it_outlives_kills_and_torn_ends(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], state=True)
    for fall in range(3, 9):
        shuttled.admin.change("/web", {"fall": fall}, method="PATCH")
    before = entries(shuttled)
    shuttled.signal(signal.SIGKILL)
    shuttled.exit_code()
    shuttled.start()
    assert entries(shuttled) == before

    shuttled.signal(signal.SIGKILL)
    shuttled.exit_code()
    [path] = [p for p in shuttled.directory.iterdir() if p.name.endswith(".history")]
    path.write_bytes(path.read_bytes()[:-30])
    shuttled.start()
    # The last change is in the state file; that its record was torn is told, and what it changed is there.
    found = entries(shuttled)
    assert found[1:] == before[1:]
    assert found[0]["source"] == "startup" and found[0]["diff"] == before[0]["diff"]
    shuttled.admin.post("/v1/history/2/restore").expect(200)
    assert shuttled.admin.service("web")["fall"] == 3


def test_pages_lead_through_it(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    for fall in range(3, 9):
        shuttled.admin.change("/web", {"fall": fall}, method="PATCH")
    seen: list[int] = []
    path = "/v1/history?limit=3"
    while path:
        page = shuttled.admin.get(path).expect(200).json
        seen += [e["id"] for e in page["entries"]]
        path = page["next"]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_what_is_asked_wrongly_is_refused(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    for query, word in (
        ("limit=0", '"0"'),
        ("limit=1001", "1 to 1000"),
        ("limit=x", '"x"'),
        ("before=-1", '"-1"'),
        ("limit=1&limit=2", "more than once"),
        ("after=1", '"after"'),
    ):
        shuttled.admin.get(f"/v1/history?{query}").problem(400).says(word)
    for path in ("/v1/history/9", "/v1/history/01", "/v1/history/x"):
        shuttled.admin.get(path).problem(404)
        shuttled.admin.post(f"{path}/restore").problem(404)
    shuttled.admin.get("/v1/history/1?x=1").problem(400)
    assert shuttled.admin.get("/v1/history/1/restore").problem(405).response.headers["allow"] == "POST"
    assert len(entries(shuttled)) == 1
