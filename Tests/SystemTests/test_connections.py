"""Connections as a resource: listed page by page with filters, looked at twice for rates, and ended one by one or many.

Leaves to `InspectionScenarioTests` that a ring is held for a few slots at a time, to `DisconnectPaceTests` the pace.
"""

from __future__ import annotations

import json
import re
import resource
import socket
import time
from typing import Any

import pytest

from harness.datagrams import DatagramClient, DatagramPeer
from harness.events import Events
from harness.load import NameServers
from harness.peers import Blackhole, Echo, Named, Sink
from harness.ports import free_address, split
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import End, echoes, read_to_end
from harness.wait import eventually


def listed(shuttled: Shuttled, query: str = "", limit: int = 1000) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    target: str | None = f"/v1/connections?interval=0&limit={limit}" + (f"&{query}" if query else "")
    while target is not None:
        page = shuttled.admin.get(target).expect(200).json
        assert len(page["connections"]) <= limit
        found += page["connections"]
        target = page["next"]
    return found


def established(stage: Stage, address: str, count: int, **options: Any) -> list[socket.socket]:
    """Connections whose backend has said its name."""
    sockets = [stage.connect(address, **options) for _ in range(count)]
    for connection in sockets:
        read_line(connection)
    return sockets


def test_a_connection_is_told_of_with_all_that_is_known(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    (client,) = established(stage, address, 1)
    assert echoes(client, b"x" * 1000)
    (seen,) = eventually(lambda: [c for c in listed(shuttled) if c["received"] == 1004], "all bytes are counted")
    assert (seen["service"], seen["backend"], seen["network"], seen["state"]) == ("web", "b", "tcp", "relaying")
    assert seen["client"] == "%s:%d" % client.getsockname()
    assert seen["sent"] == 1000
    assert seen["age_milliseconds"] >= seen["idle_milliseconds"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", seen["started"])
    assert "sent_per_second" not in seen, "one look makes no rate"
    again = shuttled.admin.get(f"/v1/connections/{seen['id']}?interval=20ms").expect(200).json
    assert again["id"] == seen["id"]
    assert again["sent_per_second"] == again["received_per_second"] == 0
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client).end is End.FINISHED
    eventually(lambda: not listed(shuttled), "it is gone")
    shuttled.admin.get(f"/v1/connections/{seen['id']}").problem(404).says("it has ended", "GET /v1/connections")


def test_rates_are_those_between_two_looks(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    (client,) = established(stage, address, 1)
    (before,) = listed(shuttled)
    # While the request waits between its looks so much goes each way, and nothing before or after.
    with shuttled.admin.connect() as asking:
        asking.sendall(shuttled.admin.head("GET", "/v1/connections?interval=3s", "Connection: close"))
        eventually(lambda: ring_turns(shuttled) > 1, "the first look is over")
        assert echoes(client, b"y" * 30_000)
        body = b""
        while piece := asking.recv(65_536):
            body += piece
    (seen,) = json.loads(body.partition(b"\r\n\r\n")[2])["connections"]
    assert seen["sent"] - before["sent"] == seen["received"] - before["received"] == 30_000
    # Over three seconds, or a little more on a slow machine.
    assert 0 < seen["sent_per_second"] == seen["received_per_second"] <= 10_000


def ring_turns(shuttled: Shuttled) -> int:
    return sum(ring["inspection_turns"] for ring in shuttled.admin.get("/v1/rings").expect(200).json)


def test_states(stage: Stage) -> None:
    echo, hole = stage.add(Echo()), stage.add(Blackhole())
    addresses = [free_address() for _ in range(4)]
    shuttled = stage.shuttled(
        [
            service("open", addresses[0], [backend("b", echo.address)]),
            service("hanging", addresses[1], [backend("b", hole.address)], connect_timeout=60_000),
            service(
                "narrow", addresses[2], [backend("b", echo.address)], max_connections=1, queue_limit=5,
                queue_timeout=60_000,
            ),
            service("reading", addresses[3], [backend("b", echo.address)], proxy_protocol_accept=True,
                    preread_timeout=60_000),
        ]
    )  # fmt: skip
    stage.connect(addresses[1])
    stage.connect(addresses[3])
    first = stage.connect(addresses[2])
    assert echoes(first)
    stage.connect(addresses[2])
    half = stage.connect(addresses[0])
    assert echoes(half)

    def states() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for connection in listed(shuttled):
            found.setdefault(connection["service"], []).append(connection["state"])
        return {name: sorted(values) for name, values in found.items()}

    wanted = {
        "open": ["relaying"],
        "hanging": ["connecting"],
        "narrow": ["queued", "relaying"],
        "reading": ["preread"],
    }
    eventually(lambda: states() == wanted, lambda: f"{wanted}, but {states()}")
    (queued,) = [c for c in listed(shuttled, "service=narrow") if c["state"] == "queued"]
    assert queued["backend"] is None
    # Each of them can be ended.
    for connection in listed(shuttled):
        shuttled.admin.delete(f"/v1/connections/{connection['id']}").expect(200)
    eventually(lambda: not listed(shuttled), "all are gone")
    shuttled.wait_idle()


def test_half_closed(stage: Stage) -> None:
    sink = stage.add(Sink())
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", sink.address)])])
    client = stage.connect(address)
    client.sendall(b"x")
    client.shutdown(socket.SHUT_WR)
    eventually(lambda: [c["state"] for c in listed(shuttled)] == ["half-closed"], "one direction has ended")
    sink.release.set()


def test_filters_are_exact(stage: Stage) -> None:
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    web, other = free_address(), free_address()
    shuttled = stage.shuttled(
        [
            service("web", web, [backend("one", one.address), backend("two", two.address)]),
            service("other", other, [backend("one", one.address)]),
        ]
    )
    old = established(stage, web, 6)
    busy = old[0]
    assert echoes(busy, b"z" * 5000)
    elsewhere = [stage.connect(other, source=("127.0.0.7", 0)) for _ in range(3)]
    for connection in elsewhere:
        read_line(connection)
    eventually(lambda: len(listed(shuttled, "min_bytes=10000")) == 1, "its bytes are counted")
    names = {"%s:%d" % c.getsockname() for c in old}
    assert {c["client"] for c in listed(shuttled, "service=web")} == names
    assert len(listed(shuttled, "backend=one")) == 6
    assert len(listed(shuttled, "service=web&backend=one")) == len(listed(shuttled, "service=web&backend=two")) == 3
    assert {c["service"] for c in listed(shuttled, "client=127.0.0.7")} == {"other"}
    assert len(listed(shuttled, "client=127.0.0.0/29")) == 9
    assert len(listed(shuttled, "client=127.0.0.0/30")) == 6
    assert listed(shuttled, "client=10.0.0.0/8") == listed(shuttled, "client=2001:db8::/32") == []
    assert listed(shuttled, "service=other&client=127.0.0.1") == []
    assert ["%s:%d" % busy.getsockname()] == [c["client"] for c in listed(shuttled, "min_bytes=10000")]
    assert listed(shuttled, "min_bytes=10009") == []
    eventually(lambda: len(listed(shuttled, "min_age=300ms")) == 9, "all are so old")
    assert echoes(busy)
    assert listed(shuttled, "min_age=1h") == listed(shuttled, "min_idle=1h") == []
    eventually(lambda: len(listed(shuttled, "min_idle=300ms")) == 9, "all have rested for so long")
    # Ages and idle times are those that are told.
    for connection in listed(shuttled, "min_idle=200ms"):
        assert connection["age_milliseconds"] >= connection["idle_milliseconds"] >= 200


def test_pages_have_each_connection_once_though_others_come_and_go(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    staying = {"%s:%d" % c.getsockname() for c in established(stage, address, 25)}
    found: list[str] = []
    target = "/v1/connections?limit=4&interval=0&service=web"
    while target is not None:
        page = shuttled.admin.get(target).expect(200).json
        found += [c["client"] for c in page["connections"]]
        target = page["next"]
        stage.name_at(address)
    assert all(found.count(client) == 1 for client in staying), found


def test_udp_sessions(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    address = free_address()
    shuttled = stage.shuttled([service("dns", address, [backend("b", peer.address)], network="udp")])
    clients = [stage.add(DatagramClient(address)) for _ in range(3)]
    for client in clients:
        client.ask(b"hello")
    seen = listed(shuttled)
    assert len(seen) == 3
    assert {(c["network"], c["service"], c["backend"], c["state"]) for c in seen} == {("udp", "dns", "b", "relaying")}
    assert all(c["sent"] == 5 and c["received"] >= 5 and c["client"].startswith("127.0.0.1:") for c in seen)
    assert len(listed(shuttled, limit=1)) == 3
    gone = shuttled.admin.delete(f"/v1/connections/{seen[1]['id']}").expect(200).json
    assert gone["id"] == seen[1]["id"]
    assert {c["id"] for c in listed(shuttled)} == {seen[0]["id"], seen[2]["id"]}
    shuttled.admin.delete("/v1/connections?all=1").expect(202)
    eventually(lambda: not listed(shuttled), "all have ended")
    assert shuttled.admin.service("dns")["ended"]["operator"] == 3


def test_one_is_ended_and_the_others_are_not(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    events = stage.add(Events(shuttled.admin, "?types=disconnect"))
    first, second = established(stage, address, 2)
    (chosen,) = [c for c in listed(shuttled) if c["client"] == "%s:%d" % first.getsockname()]
    ended = shuttled.admin.delete(f"/v1/connections/{chosen['id']}").expect(200).json
    assert (ended["id"], ended["backend"]) == (chosen["id"], "b")
    assert read_to_end(first).data == b""
    assert echoes(second)
    told = events.wait_for("disconnect", phase="ended")
    assert (told["service"], told["backend"], told["client"]) == ("web", "b", chosen["client"])
    shuttled.admin.delete(f"/v1/connections/{chosen['id']}").problem(404).says("has ended")
    statistics = shuttled.admin.service("web")
    assert statistics["ended"]["operator"] == 1 == statistics["backends"][0]["ended"]["operator"]
    assert "connection ended" in shuttled.log_text()


def test_an_id_is_of_one_connection_only(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], rings=1)
    (first,) = established(stage, address, 1)
    (old,) = listed(shuttled)
    first.close()
    eventually(lambda: not listed(shuttled), "it is gone")
    (second,) = established(stage, address, 1)
    (new,) = listed(shuttled)
    assert new["id"] != old["id"], "the slot is used again"
    process, _, rest = new["id"].partition("-")
    for wrong in (old["id"], "x" + new["id"], f"{process}x-{rest}", new["id"] + "0", f"{process}-9-0-1", "1", "%00"):
        shuttled.admin.delete(f"/v1/connections/{wrong}").problem(404)
        shuttled.admin.get(f"/v1/connections/{wrong}").problem(404)
    assert echoes(second)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["all=1"]),
        ("rate=10/s", ["all=1", "service, backend, client"]),
        ("all=0", ["all=1"]),
        ("all=1&service=web", ["exclude each other"]),
        ("all=yes", ["all is", "1 (yes) or 0"]),
        ("service=nobody", ["no service"]),
        ("backend=nobody", ["no service has a backend"]),
        ("service=web&backend=nobody", ["no backend"]),
        ("client=300.1.1.1", ["client is", "192.0.2.0/24"]),
        ("client=10.1.1.1/8", ["10.0.0.0/8"]),
        ("min_age=5", ["min_age is", "30s"]),
        ("min_idle=-1s", ["min_idle is"]),
        ("min_bytes=1k", ["min_bytes is", "integer from 0"]),
        ("service=web&rate=0/s", ["rate is", "100/s"]),
        ("service=web&rate=100", ["rate is", "100/s"]),
        ("service=web&rate=1/d", ["rate is", "s, m or h"]),
        ("service=web&jitter=101", ["jitter is", "from 0 to 100"]),
        ("service=web&limit=5", ["limit", "not known here"]),
        ("service=web&service=web", ["twice"]),
    ],
)
def test_what_cannot_be_ended_is_refused(idle: Shuttled, query: str, words: list[str]) -> None:
    answer = idle.admin.delete("/v1/connections" + (f"?{query}" if query else ""))
    answer.problem(404 if "nobody" in query else 400).says(*words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", ["limit is", "from 1 to 1000"]),
        ("limit=1001", ["limit is"]),
        ("after=x", ["after is", '"next"']),
        ("after=0-012", ["after is"]),
        ("interval=11s", ["interval is", "from 0 to 10s"]),
        ("sort=age", ["not known here"]),
        ("service=nobody", ["no service"]),
    ],
)
def test_what_cannot_be_listed_is_refused(idle: Shuttled, query: str, words: list[str]) -> None:
    idle.admin.get(f"/v1/connections?{query}").problem(404 if "nobody" in query else 400).says(*words)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    stage = Stage(tmp_path_factory.mktemp("idle"))
    yield stage.shuttled([service("web", free_address(), [backend("b", free_address())])])
    stage.close(failed=False)


def test_many_are_ended_at_a_rate_that_is_never_exceeded(stage: Stage) -> None:
    servers = stage.add(NameServers("one", "two"))
    web, other = free_address(), free_address()
    backends = [backend(name, address) for name, address in servers.addresses.items()]
    shuttled = stage.shuttled([service("web", web, backends), service("other", other, backends)])
    events = stage.add(Events(shuttled.admin, "?types=disconnect"))
    doomed = established(stage, web, 40)
    spared = established(stage, other, 10)
    query = "service=web&rate=20/s&jitter=100"
    looked = shuttled.admin.delete(f"/v1/connections?{query}&dry_run=1").expect(200).json
    assert (looked["matched"], looked["rate"], looked["jitter"], looked["takes_milliseconds"]) == (40, "20/s", 100, 1950)
    assert looked["filter"] == {"service": "web"}
    assert shuttled.admin.get("/v1/disconnects").expect(200).json == {"disconnects": []}

    begin = time.monotonic()
    response = shuttled.admin.delete(f"/v1/connections?{query}").expect(202)
    job = response.json
    where = response.headers["location"]
    assert where == f"/v1/disconnects/{job['id']}"
    assert (job["state"], job["matched"], job["ended"]) == ("running", 40, 0)
    # Those that come later are let alone.
    late = established(stage, web, 1)

    def progress() -> dict[str, Any]:
        now = shuttled.admin.get(where).expect(200).json
        # From its beginning never more than the rate allows, whenever one looks and however slow the machine is.
        assert now["ended"] <= 20 * (time.monotonic() - begin) + 1, now
        assert now["ended"] + now["gone"] + now["remaining"] == 40
        return now

    eventually(lambda: progress()["state"] == "finished", "the job is done", 30)
    assert time.monotonic() - begin > 39 / 20 - 0.05 - 1 / 20, "the last slot begins then"
    done = progress()
    assert (done["ended"], done["gone"], done["remaining"]) == (40, 0, 0)
    assert done["finished"] >= done["started"]
    for connection in doomed:
        assert read_to_end(connection).data == b""
    assert all(echoes(connection) for connection in spared + late)
    assert shuttled.admin.service("web")["ended"]["operator"] == 40
    assert events.wait_for("disconnect", phase="started")["matched"] == 40
    assert events.wait_for("disconnect", phase="finished")["ended"] == 40
    # One that is over can be forgotten.
    assert shuttled.admin.delete(where).expect(200).json["state"] == "finished"
    shuttled.admin.get(where).problem(404)


def test_a_job_can_be_cancelled(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    sockets = established(stage, address, 20)
    job = shuttled.admin.delete("/v1/connections?all=1&rate=5/s&jitter=0").expect(202).json
    where = f"/v1/disconnects/{job['id']}"
    eventually(lambda: shuttled.admin.get(where).json["ended"] >= 2, "it has begun")
    # Those that leave by themselves are told apart.
    cancelled = shuttled.admin.delete(where).expect(200).json
    assert cancelled["state"] == "cancelled"
    assert cancelled["finished"] is not None
    shuttled.admin.get(where).problem(404)
    left = cancelled["remaining"]
    # One that was being ended at that moment may still count.
    eventually(lambda: len(listed(shuttled)) in (left, left - 1), "the others run on")
    assert sum(echo_or_end(connection) for connection in sockets) in (left, left - 1)
    shuttled.admin.get("/v1/disconnects/99").problem(404).says("GET /v1/disconnects")
    shuttled.admin.delete("/v1/disconnects/x").problem(404)


def echo_or_end(connection: socket.socket) -> bool:
    try:
        return echoes(connection)
    except (AssertionError, OSError):
        return False


def test_those_that_end_by_themselves_are_told_apart(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    sockets = established(stage, address, 5)
    job = shuttled.admin.delete("/v1/connections?service=web&rate=2/s").expect(202).json
    for connection in sockets:
        connection.close()
    eventually(lambda: shuttled.admin.get("/v1/disconnects/1").json["state"] == "finished", "the job is done", 20)
    done = shuttled.admin.get(f"/v1/disconnects/{job['id']}").json
    assert done["ended"] + done["gone"] == 5
    assert done["gone"] >= 3, done


def test_roles(stage: Stage) -> None:
    tokens = stage.directory / "tokens"
    stage.directory.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{role} {role} {role}-0123456789abcdef0123456789abcdef\n" for role in ("read", "operate"))
    tokens.write_text(text)
    tokens.chmod(0o600)
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.prepared(
        [service("web", address, [backend("b", one.address)])], arguments=["-token-file", str(tokens)]
    )
    shuttled.admin = shuttled.admin.authorized("operate-0123456789abcdef0123456789abcdef")
    shuttled.start()
    reader = shuttled.admin.authorized("read-0123456789abcdef0123456789abcdef")
    established(stage, address, 1)
    (seen,) = listed(shuttled)
    reader.get(f"/v1/connections/{seen['id']}").expect(200)
    reader.get("/v1/disconnects").expect(200)
    reader.delete(f"/v1/connections/{seen['id']}").problem(403).says("operate")
    reader.delete("/v1/connections?all=1").problem(403).says("operate")
    job = shuttled.admin.delete("/v1/connections?all=1").expect(202).json
    assert job["token"] == "operate"
    reader.delete(f"/v1/disconnects/{job['id']}").problem(403)


SESSIONS = 9000


@pytest.mark.time_limit(180)
def test_nine_thousand(stage: Stage) -> None:
    """All of them are listed, once each, filtered, and ended; how long a ring was held at a time is reported."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * SESSIONS + 1000:
        pytest.skip(f"{SESSIONS} sessions take {2 * SESSIONS + 1000} descriptors, the limit is {hard}")
    servers = stage.add(NameServers("one", "two"))
    address = free_address()
    backends = [backend(name, where) for name, where in servers.addresses.items()]
    shuttled = stage.shuttled([service("web", address, backends)])
    sockets: list[socket.socket] = []
    host, port = split(address)
    for number in range(SESSIONS):
        connection = socket.socket()
        stage.add(connection)
        connection.settimeout(30)
        # Several addresses, since one has not ports enough.
        connection.bind((f"127.0.0.{2 + number % 8}", 0))
        connection.connect((host, port))
        sockets.append(connection)
    for connection in sockets:
        read_line(connection)
    begin = time.monotonic()
    found = listed(shuttled)
    seconds = time.monotonic() - begin
    assert len(found) == SESSIONS
    assert {c["client"] for c in found} == {"%s:%d" % c.getsockname() for c in sockets}
    assert len({c["id"] for c in found}) == SESSIONS
    assert len(listed(shuttled, "client=127.0.0.3")) == SESSIONS // 8
    assert len(listed(shuttled, "service=web&backend=two")) == SESSIONS // 2
    turns = ring_turns(shuttled)
    rings = shuttled.admin.get("/v1/rings").expect(200).json
    held = [(ring["inspection_microseconds_p999"], ring["inspection_microseconds_max"]) for ring in rings]
    print(f"{SESSIONS} listed in {seconds:.2f} s; {turns} turns of the rings, each held for (99.9 %, most) {held} µs")
    # Some of them, and nobody else.
    shuttled.admin.delete("/v1/connections?client=127.0.0.4/31&rate=100000/s").expect(202)
    eventually(lambda: shuttled.admin.get("/v1/disconnects/1").json["state"] == "finished", "the job is done", 60)
    done = shuttled.admin.get("/v1/disconnects/1").json
    assert (done["ended"], done["gone"]) == (SESSIONS // 4, 0)
    eventually(lambda: len(listed(shuttled)) == SESSIONS - SESSIONS // 4, "a quarter is gone")
    assert listed(shuttled, "client=127.0.0.4/31") == []
    for number in (0, 1, 4, 5):
        assert echoes(sockets[number])
    shuttled.admin.delete("/v1/connections?all=1&rate=100000/s").expect(202)
    eventually(lambda: not listed(shuttled), "nobody is left", 60)
    for connection in sockets:
        connection.close()
    shuttled.wait_idle()
    assert shuttled.admin.service("web")["ended"]["operator"] == SESSIONS
