"""Changes that are only tried: what they would do is said, and nothing is done."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness import json_patch
from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import read_exactly

#: Configurations that are tried and made, one after the other.
ROUNDS = 40


def preview(shuttled: Shuttled, method: str, path: str, json: Any = None, **options: Any) -> Any:
    """A dry run that is answered; the configuration must be the same bytes before and after."""
    before = shuttled.admin.config_text()
    answer = shuttled.admin.request(method, f"{path}?dry_run=1", json=json, **options).expect(200).json
    assert shuttled.admin.config_text() == before
    assert answer["dry_run"] is True
    return answer


def random_configuration(source: random.Random, addresses: list[str]) -> list[dict[str, Any]]:
    services = []
    for index, address in enumerate(addresses):
        if source.random() < 0.3:
            continue
        names = [f"b{i}" for i in range(6) if source.random() < 0.6]
        if source.random() < 0.3:
            source.shuffle(names)
        backends = [
            backend(name, f"127.0.0.1:{source.choice([7001, 7002])}", weight=source.choice([0, 1, 5]))
            | source.choice([{}, {"backup": True}, {"passive": {"failures": 0}}])
            for name in names
        ]
        fields = source.choice(
            [{}, {"fall": 3}, {"max_connections": 7}, {"allow": ["10.0.0.0/8", "unix"]}, {"keepalive": {"idle": 0}}]
        )
        services.append(service(f"s{index}", address, backends, check_interval=0) | fields)
    return services


def test_the_patch_makes_the_configuration_what_the_change_makes_it(stage: Stage) -> None:
    shuttled = stage.shuttled([])
    addresses = [free_address() for _ in range(5)]
    source = random.Random(21)
    for _ in range(ROUNDS):
        wanted = random_configuration(source, addresses)
        before = shuttled.admin.config()
        answer = preview(shuttled, "PUT", "/config", wanted)
        after = shuttled.admin.change("/config", wanted)
        assert json_patch.apply(before, answer["patch"]) == after, answer["diff"]
        assert answer["changed"] == (before != after)
        assert bool(answer["diff"]) == bool(answer["patch"]) == (before != after)


def test_a_preview_says_what_happens_to_traffic(stage: Stage) -> None:
    address, other = free_address(), free_address()
    peer = stage.add(Echo())
    shuttled = stage.shuttled([service("web", address, [backend("one", peer.address)], drain_timeout=5000)])
    with stage.connect(address) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"

        drained = preview(shuttled, "PATCH", "/web/one", {"state": "drain"})
        assert drained["diff"] == ['~ backend web/one: state: "ready" -> "drain"']
        [found] = drained["effects"]["backends"]["drained"]
        assert (found["backend"], found["active"], found["sessions"]) == ("one", 1, "are ended over 5000 ms")
        assert drained["effects"]["sessions_affected"] == 1
        assert drained["not_checked"] == []

        removed = preview(shuttled, "DELETE", "/web")["effects"]
        assert removed["listeners"]["closed"] == [{"service": "web", "address": address}]
        assert [s["active"] for s in removed["services"]["removed"]] == [1]
        assert [b["backend"] for b in removed["backends"]["removed"]] == ["one"]
        assert removed["sessions_affected"] == 1

        added = preview(shuttled, "PUT", "/new", service("new", other, [backend("b", peer.address)]))
        assert added["effects"]["listeners"]["opened"] == [{"service": "new", "address": other}]
        assert added["effects"]["backends"]["added"] == [{"service": "new", "backend": "b", "address": peer.address}]
        assert added["effects"]["sessions_affected"] == 0
        assert other in added["not_checked"][0]

        nothing = preview(shuttled, "PATCH", "/web", {"fall": 2})
        assert nothing["changed"] is False and nothing["patch"] == []

        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    # 0 is a change like any other.
    shuttled.admin.request("PATCH", "/web?dry_run=0", json={"fall": 4}).expect(200)
    assert shuttled.admin.service("web")["fall"] == 4


def test_a_preview_refuses_what_the_change_would_refuse(stage: Stage) -> None:
    address = free_address()
    shuttled = stage.shuttled([service("web", address)])
    before = shuttled.admin.config_text()
    tag = shuttled.admin.get("/v1/services/web").headers["etag"]
    for method, path, body, headers, status in (
        ("PUT", "/web", service("web", "nowhere"), {}, 400),
        ("PUT", "/other", service("other", address), {}, 400),
        ("PATCH", "/web", {"wieght": 3}, {}, 400),
        ("PUT", "/web/b", {"address": "no-such-host.invalid:1"}, {}, 400),
        ("DELETE", "/none", None, {}, 404),
        ("PATCH", "/web", {"fall": 3}, {"If-Match": '"1"'}, 412),
        ("PUT", "/web", service("web", address), {"If-None-Match": "*"}, 412),
    ):
        tried = shuttled.admin.request(method, f"{path}?dry_run=1", json=body, headers=headers).problem(status)
        made = shuttled.admin.request(method, path, json=body, headers=headers).problem(status)
        assert tried.document == made.document
    answer = shuttled.admin.request("PATCH", "/web?dry_run=1", json={"fall": 3}, headers={"If-Match": tag}).expect(200)
    assert answer.headers["etag"] == tag, "what was tried under it can be made under it"
    assert shuttled.admin.config_text() == before


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("dry_run", "dry_run"),
        ("dry_run=2", '"2"'),
        ("dry_run=true", '"true"'),
        ("dry_run=1&dry_run=0", "more than once"),
        ("dryrun=1", "did you mean dry_run"),
        ("dry_run=1&x=2", '"x"'),
    ],
)
def test_a_query_that_is_not_understood_is_refused(stage: Stage, query: str, word: str) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    before = shuttled.admin.config_text()
    shuttled.admin.request("DELETE", f"/web?{query}").problem(400).says(word, "nothing was changed")
    assert shuttled.admin.config_text() == before
