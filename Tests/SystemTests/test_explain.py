"""What `explain` says of a client's next connection, and that it comes about: for each algorithm, and for each way out.

Leaves to `ChoiceOutlookTests` the reasons in all combinations.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.datagrams import DatagramClient, DatagramPeer, named
from harness.load import NameServers
from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import read_to_end
from harness.wait import eventually


def explain(shuttled: Shuttled, name: str = "web", client: str = "127.0.0.1", **query: str) -> dict[str, Any]:
    more = "".join(f"&{key}={value}" for key, value in query.items())
    return shuttled.admin.get(f"/v1/services/{name}/explain?client={client}{more}").expect(200).json


def verdicts(explained: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["verdict"] for entry in explained["backends"]}


@pytest.mark.parametrize("balance", ["RR", "LC", "HASH"])
def test_the_backend_that_is_said_is_the_one_that_comes(stage: Stage, balance: str) -> None:
    servers = stage.add(NameServers("one", "two", "three"))
    address = free_address()
    weights = {"one": 3, "two": 1, "three": 2}
    backends = [backend(name, where, weight=weights[name]) for name, where in servers.addresses.items()]
    shuttled = stage.shuttled([service("web", address, backends, balance=balance)])
    for number in range(24):
        source = f"127.0.0.{2 + number % 5}"
        explained = explain(shuttled, client=source)
        assert explain(shuttled, client=source) == explained, "asking changes nothing"
        assert explained["outcome"] == "backend"
        assert explained["certain"] == (balance == "HASH")
        assert verdicts(explained)[explained["backend"]] == "chosen"
        connection = stage.connect(address, source=(source, 0))
        assert read_line(connection) == explained["backend"], explained


@pytest.mark.parametrize("balance", ["P2C", "RANDOM"])
def test_where_chance_chooses_the_candidates_are_said_with_their_chances(stage: Stage, balance: str) -> None:
    servers = stage.add(NameServers("one", "two", "three"))
    address = free_address()
    backends = [backend(name, where) for name, where in servers.addresses.items()]
    backends[2]["weight"] = 0
    shuttled = stage.shuttled([service("web", address, [*backends, backend("four", backends[0]["address"])], balance=balance)])
    for _ in range(12):
        explained = explain(shuttled)
        chances = {entry["name"]: entry["probability"] for entry in explained["backends"]}
        assert explained["probabilities"] == "exact"
        assert explained["backend"] is None
        assert explained["outcome"] == "drawn"
        assert chances["three"] == 0
        assert verdicts(explained)["three"] == "weight-zero"
        assert sum(chances.values()) == pytest.approx(1, abs=0.002)
        said = read_line(stage.connect(address))
        assert any(chances[name] > 0 for name in ({"one", "four"} if said == "one" else {said})), (said, explained)


def test_why_each_other_is_passed_over(stage: Stage) -> None:
    one, dead = stage.add(Named("one")), free_address()
    address = free_address()
    shuttled = stage.shuttled(
        [
            service(
                "web",
                address,
                [
                    backend("a", one.address, max_connections=1),
                    backend("b", one.address),
                    backend("c", one.address, state="drain"),
                    backend("d", one.address, state="maintenance"),
                    backend("e", one.address, weight=0),
                    backend("f", dead, check_address=dead),
                    backend("g", one.address, backup=True),
                    backend("h", "backend.invalid:80"),
                ],
                check_interval=20,
                balance="LC",
            )
        ]
    )
    eventually(lambda: verdicts(explain(shuttled))["f"] == "down", "checks call it down")
    connections = [stage.connect(address) for _ in range(2)]
    for connection in connections:
        read_line(connection)
    explained = explain(shuttled)
    assert verdicts(explained) == {
        "a": "full", "b": "chosen", "c": "drain", "d": "maintenance", "e": "weight-zero", "f": "down",
        "g": "backup-not-needed", "h": "unresolved",
    }  # fmt: skip
    details = {entry["name"]: entry["detail"] for entry in explained["backends"]}
    assert "max_connections is 1" in details["a"]
    assert "refused" in details["f"], "the reason of the check"
    assert explained["active"] == 2


def test_an_ejected_backend_says_what_its_traffic_has_met(stage: Stage) -> None:
    one, dead = stage.add(Named("one")), free_address()
    address = free_address()
    passive = {"failures": 1, "window": 60_000, "down_time": 60_000}
    shuttled = stage.shuttled(
        [service("web", address, [backend("a", dead), backend("b", one.address)], passive=passive)]
    )
    stage.connect(address)
    stage.connect(address)
    explained = eventually(
        lambda: (found := explain(shuttled))["backends"][0]["verdict"] == "ejected" and found, "it is ejected"
    )
    assert "refused" in explained["backends"][0]["detail"]
    assert explained["backend"] == "b"


def test_what_happens_before_the_choice(stage: Stage) -> None:
    one = stage.add(Named("one"))
    addresses = [free_address() for _ in range(6)]
    there = [backend("b", one.address)]
    shuttled = stage.shuttled(
        [
            service("closed", addresses[0], there, maintenance=True),
            service("listed", addresses[1], there, deny=["127.0.0.9"]),
            service("narrow", addresses[2], there, max_connections=1, queue_limit=1, queue_timeout=60_000),
            service("shared", addresses[3], there, max_connections_per_client=1),
            service("paced", addresses[4], there, rate_limit={"per_second": 1, "burst": 1, "per": "client"}),
            service("empty", addresses[5]),
        ]
    )

    def outcome(name: str, client: str = "127.0.0.1") -> str:
        explained = explain(shuttled, name, client)
        assert explained["detail"]
        return explained["outcome"]

    assert outcome("closed") == "maintenance"
    assert outcome("listed") == "backend"
    assert outcome("listed", "127.0.0.9") == "denied"
    assert outcome("empty") == "no-backend"
    assert outcome("narrow") == "backend"
    first = stage.connect(addresses[2])
    read_line(first)
    assert outcome("narrow") == "queued"
    stage.connect(addresses[2])
    eventually(lambda: outcome("narrow") == "full", "the queue is full as well")
    read_line(stage.connect(addresses[3]))
    assert outcome("shared") == "client-limit"
    assert outcome("shared", "127.0.0.2") == "backend"
    late = [stage.connect(addresses[4]) for _ in range(2)]
    assert outcome("paced", "127.0.0.2") == "backend"
    # Which of the two came first is not known; the other was closed, and so would a third be, for a second.
    assert sorted(len(read_line_or_end(connection)) > 0 for connection in late) in ([False, True], [True, True])


def read_line_or_end(connection: Any) -> bytes:
    connection.shutdown(1)
    return read_to_end(connection).data


def test_routes_lead_to_the_pool(stage: Stage) -> None:
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    routes = [
        {"sni": ["a.example", "*.b.example"], "service": "pool"},
        {"alpn": ["h2"], "service": "closed"},
    ]
    shuttled = stage.shuttled(
        [
            service("web", free_address(), [backend("own", one.address)], routes=routes),
            service("pool", "", [backend("routed", two.address)]),
            service("closed", "", [backend("x", two.address)], maintenance=True),
        ]
    )
    plain = explain(shuttled)
    assert plain["backend"] == "own"
    assert "route" not in plain
    for name in ("a.example", "A.EXAMPLE", "x.b.example"):
        routed = explain(shuttled, sni=name)
        assert (routed["route"], routed["pool"], routed["backend"]) == (0, "pool", "routed"), name
    assert explain(shuttled, sni="c.example")["backend"] == "own"
    other = explain(shuttled, sni="c.example", alpn="http/1.1,h2")
    assert (other["route"], other["outcome"]) == (1, "maintenance")


def test_udp(stage: Stage) -> None:
    peers = [stage.add(DatagramPeer(answers=named(name))) for name in ("one", "two")]
    address = free_address()
    backends = [backend(name, peer.address) for name, peer in zip(("one", "two"), peers, strict=True)]
    shuttled = stage.shuttled([service("dns", address, backends, network="udp", udp_idle_timeout=1000)])
    for _ in range(4):
        explained = explain(shuttled, "dns", port="4000")
        answer = stage.add(DatagramClient(address)).ask(b"who")
        assert answer == explained["backend"].encode()


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("web/explain", 400, ["client=192.0.2.1"]),
        ("web/explain?client=web.example", 400, ["client is", "192.0.2.1"]),
        ("web/explain?client=10.0.0.0/8", 400, ["client is"]),
        ("web/explain?client=10.0.0.1&port=70000", 400, ["port is", "65535"]),
        ("web/explain?client=10.0.0.1&sni=", 400, ["sni is"]),
        ("web/explain?client=10.0.0.1&alpn=", 400, ["alpn is", "h2"]),
        ("web/explain?client=10.0.0.1&backend=b", 400, ["not known here"]),
        ("nobody/explain?client=10.0.0.1", 404, ["no service"]),
    ],
)
def test_what_cannot_be_explained_is_refused(stage: Stage, query: str, status: int, words: list[str]) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    shuttled.admin.get(f"/v1/services/{query}").problem(status).says(*words)
