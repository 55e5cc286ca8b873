"""The flight recorder at `/v1/recent`: one record of every session that ended, with why, and what it has taken."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from harness.datagrams import DatagramClient, DatagramPeer, named
from harness.peers import Blackhole, Echo, Recorder, Refusing, Scripted
from harness.ports import free_address
from harness.proxy_protocol import v2
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import End, connect, echoes, finish, read_exactly, read_to_end, reset
from harness.wait import eventually


def recent(shuttled: Shuttled, query: str = "") -> list[dict[str, Any]]:
    return shuttled.admin.get(f"/v1/recent{query}").expect(200).json["sessions"]


def only(shuttled: Shuttled, count: int = 1) -> dict[str, Any]:
    """The newest session, once there are so many."""
    eventually(lambda: len(recent(shuttled)) >= count, lambda: f"{count} sessions are told of: {recent(shuttled)}")
    sessions = recent(shuttled)
    assert len(sessions) == count, sessions
    return sessions[0]


def front(stage: Stage, to: str, **fields: Any) -> tuple[Shuttled, str]:
    address = free_address()
    return stage.shuttled([service("web", address, [backend("b", to)], **fields)]), address


def test_a_session_is_told_with_all_that_is_known_of_it(stage: Stage) -> None:
    peer = stage.add(Echo())
    before = datetime.now(timezone.utc)
    shuttled, address = front(stage, peer.address)
    with connect(address) as client:
        client.sendall(bytes(1000))
        read_exactly(client, 1000)
        source = "{}:{}".format(*client.getsockname())
        assert recent(shuttled) == [], "it has not ended"
        finish(client)
        assert read_to_end(client).end is End.FINISHED
    session = only(shuttled)
    after = datetime.now(timezone.utc)
    assert list(session) == [
        "started", "ended", "service", "backend", "backend_address", "client", "network", "ring", "reason", "retries",
        "sent", "received", "duration_microseconds", "connect_microseconds", "first_byte_microseconds",
        "wait_microseconds", "client_rtt_microseconds", "client_retransmits", "backend_rtt_microseconds",
        "backend_retransmits",
    ]  # fmt: skip
    assert (session["service"], session["backend"], session["backend_address"]) == ("web", "b", peer.address)
    assert session["client"] == source and session["network"] == "tcp"
    assert session["reason"] == "client_closed" and session["retries"] == 0
    assert (session["sent"], session["received"], session["wait_microseconds"]) == (1000, 1000, 0)
    started, ended = (datetime.fromisoformat(session[name].replace("Z", "+00:00")) for name in ("started", "ended"))
    # Milliseconds are cut off.
    assert before - timedelta(milliseconds=2) <= started <= ended <= after
    assert session["connect_microseconds"] + session["first_byte_microseconds"] <= session["duration_microseconds"]


def resets(connection: socket.socket) -> None:
    connection.recv(1)
    reset(connection)


def ends(connection: socket.socket) -> None:
    connection.recv(1)


def client_says(end: Any) -> Any:
    def act(client: socket.socket) -> None:
        client.sendall(b"x")
        end(client)

    return act


def echoed_then_reset(client: socket.socket) -> None:
    assert echoes(client)
    reset(client)


def reads(client: socket.socket) -> None:
    client.sendall(b"x")
    read_to_end(client)


@pytest.mark.parametrize(
    "reason, script, act, fields",
    [
        ("client_closed", lambda connection: connection.recv(10), finish, {}),
        ("client_reset", None, echoed_then_reset, {}),
        ("backend_closed", ends, reads, {"half_close": False}),
        ("backend_reset", resets, reads, {}),
        ("client_idle", None, read_to_end, {"client_timeout": 50}),
        ("backend_idle", None, read_to_end, {"server_timeout": 50}),
        ("max_lifetime", None, read_to_end, {"max_lifetime": 50}),
        ("half_close_timeout", None, client_says(finish), {"half_close_timeout": 50}),
    ],
)
def test_why_a_session_ended(stage: Stage, reason: str, script: Any, act: Any, fields: dict[str, Any]) -> None:
    holding: list[socket.socket] = []

    def silent(connection: socket.socket) -> None:
        """Echoes, and does not end by itself."""
        while data := connection.recv(4096):
            connection.sendall(data)
        holding.append(connection.dup())

    peer = stage.add(Echo() if script is None and reason != "half_close_timeout" else Scripted(script or silent))
    shuttled, address = front(stage, peer.address, **fields)
    with connect(address) as client:
        act(client)
        session = only(shuttled)
    assert session["reason"] == reason, session
    assert session["connect_microseconds"] is not None
    for connection in holding:
        connection.close()


def test_a_drain_ends_sessions_by_that_reason(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address, drain_timeout=50)
    client = stage.connect(address)
    assert echoes(client)
    shuttled.admin.change("/web/b", {"state": "drain"}, "PATCH")
    read_to_end(client)
    assert only(shuttled)["reason"] == "drained"


# Deadlines are whole milliseconds of the clock.


def test_connects_that_fail(stage: Stage) -> None:
    refusing, full, good = stage.add(Refusing()), stage.add(Blackhole()), stage.add(Echo())
    web, slow, retried = free_address(), free_address(), free_address()
    shuttled = stage.shuttled(
        [
            service("web", web, [backend("b", refusing.address)]),
            service("slow", slow, [backend("b", full.address)], connect_timeout=50),
            service("retried", retried, [backend("a", refusing.address), backend("b", good.address)]),
        ],
        rings=1,
    )
    with connect(web) as client:
        assert read_to_end(client).data == b""
    session = only(shuttled)
    assert (session["reason"], session["backend"], session["retries"]) == ("connect_refused", "b", 0)
    assert session["connect_microseconds"] is None and session["first_byte_microseconds"] is None
    with connect(slow) as client:
        assert read_to_end(client).data == b""
    session = only(shuttled, 2)
    assert session["reason"] == "connect_timeout" and session["duration_microseconds"] >= 49_000
    with connect(retried) as client:
        assert echoes(client)
    session = only(shuttled, 3)
    # The first turn is the first backend's.
    assert (session["reason"], session["backend"], session["retries"]) == ("client_closed", "b", 1)


def test_who_waits_and_who_is_turned_away(stage: Stage) -> None:
    peer = stage.add(Echo())
    shuttled, address = front(
        stage, peer.address, max_connections=1, queue_limit=1, queue_timeout=20_000, max_connections_per_client=3)
    # One after the other: rings accept in whatever order.
    first = connect(address)
    assert echoes(first)
    second = connect(address)
    eventually(lambda: shuttled.admin.service("web")["queued"] == 1, "one waits")
    with connect(address) as third:
        assert read_to_end(third).data == b""
    assert only(shuttled)["reason"] == "queue_full"
    first.close()
    assert echoes(second)
    second.close()
    only(shuttled, 3)
    waited = [session["wait_microseconds"] > 0 for session in recent(shuttled) if session["reason"] == "client_closed"]
    assert sorted(waited) == [False, True], recent(shuttled)
    shuttled.admin.change("/web", {"queue_timeout": 50}, "PATCH")
    shuttled.wait_idle()
    with connect(address) as first:
        assert echoes(first)
        with connect(address) as second:
            assert read_to_end(second).data == b""
    eventually(lambda: recent(shuttled, "?reason=queue_timeout"), "it has waited in vain")
    assert recent(shuttled, "?reason=queue_timeout")[0]["wait_microseconds"] >= 49_000


def test_the_client_that_a_proxy_header_tells_of(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address, proxy_protocol_accept=True, deny=["192.0.2.9"])
    with connect(address) as client:
        client.sendall(v2("192.0.2.1:4711", "192.0.2.2:80"))
        assert echoes(client)
    assert only(shuttled)["client"] == "192.0.2.1:4711"
    with connect(address) as client:
        client.sendall(v2("192.0.2.9:4711", "192.0.2.2:80"))
        read_to_end(client)
    session = only(shuttled, 2)
    assert (session["client"], session["reason"], session["backend"]) == ("192.0.2.9:4711", "denied", None)
    with connect(address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        read_to_end(client)
    assert only(shuttled, 3)["reason"] == "preread_failed"


def test_logged_sessions_tell_how_their_connections_fared(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address, access_log={"one_in": 1})
    with connect(address) as client:
        assert echoes(client)
    session = only(shuttled)
    for side in ("client", "backend"):
        assert session[f"{side}_rtt_microseconds"] > 0 and session[f"{side}_retransmits"] == 0, session
    shuttled.admin.change("/web", {"access_log": None}, "PATCH")
    with connect(address) as client:
        assert echoes(client)
    assert only(shuttled, 2)["client_rtt_microseconds"] is None, "the kernel is not asked for nothing"


def test_sessions_of_datagrams(stage: Stage) -> None:
    peer = stage.add(DatagramPeer(answers=named("one")))
    address = free_address()
    shuttled = stage.shuttled([])
    fields = {"network": "udp", "udp_idle_timeout": 50}
    shuttled.admin.put("/dns", service("dns", address, [backend("one", peer.address)], **fields)).expect(200)
    client = stage.add(DatagramClient(address))
    answer = client.ask(b"question")
    session = only(shuttled)
    assert (session["network"], session["reason"], session["backend"]) == ("udp", "idle", "one")
    assert (session["sent"], session["received"]) == (8, len(answer))
    assert session["connect_microseconds"] is None and session["first_byte_microseconds"] is not None
    assert session["client"].startswith("127.0.0.1:")
    shuttled.admin.change("/dns", {"udp_responses": 1, "udp_idle_timeout": 60_000}, "PATCH")
    client.ask(b"again")
    assert only(shuttled, 2)["reason"] == "answered"
    shuttled.admin.remove("/dns")


def test_names_are_told_of_what_was_removed(stage: Stage) -> None:
    shuttled, address = front(stage, stage.add(Echo()).address)
    with connect(address) as client:
        assert echoes(client)
    only(shuttled)
    shuttled.admin.remove("/web")
    session = only(shuttled)
    assert (session["service"], session["backend"]) == ("web", "b")
    assert recent(shuttled, "?service=web&backend=b") == [session]
    # Others of the same names are not taken for it.
    shuttled.admin.put("/web", service("web", address, [backend("b", stage.add(Recorder()).address)])).expect(200)
    assert recent(shuttled) == [session]


def test_the_newest_of_all_rings_come_first_and_the_oldest_are_forgotten(stage: Stage) -> None:
    address, other = free_address(), free_address()
    peer = stage.add(Echo())
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", peer.address)]), service("api", other, [backend("b", peer.address)])],
        rings=2, arguments=["-recent", "8"])
    clients: list[str] = []
    for number in range(30):
        with connect(other if number == 0 else address) as client:
            assert echoes(client)
            clients.append("{}:{}".format(*client.getsockname()))
        newest = clients[-1:]
        eventually(lambda: [told["client"] for told in recent(shuttled, "?limit=1")] == newest, "the newest is the first")
    sessions = recent(shuttled)
    assert 8 <= len(sessions) <= 16
    told = [session["client"] for session in sessions]
    assert told == [client for client in reversed(clients) if client in set(told)]
    assert recent(shuttled, "?limit=3") == sessions[:3]
    # Which is known: it is configured.
    assert recent(shuttled, "?service=api") == []
    shuttled.admin.get("/v1/recent?service=nobody").problem(404).says("nobody")
    shuttled.admin.get("/v1/recent?reason=bored").problem(400).says("client_closed", "backend_reset")
    shuttled.admin.get("/v1/recent?limit=0").problem(400).says("limit", "1 to 10000")


def test_nothing_is_remembered_where_that_is_switched_off(stage: Stage) -> None:
    address = free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("b", stage.add(Echo()).address)])], arguments=["-recent", "0"])
    with connect(address) as client:
        assert echoes(client)
    shuttled.wait_idle()
    shuttled.admin.get("/v1/recent").problem(404).says("-recent 0")
