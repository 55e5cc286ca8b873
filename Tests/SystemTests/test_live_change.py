"""Changes while traffic flows, and what they leave alone: cases 23 and 28 of the list in docs/tests.md."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.load import Findings, Job, NameServers, Sessions
from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import echoes
from harness.wait import eventually

CHANGE_SECONDS = 0.02
SEQUENTIAL_SESSIONS = 10_000
CONCURRENT_ROUNDS = 200
CONCURRENT = 50
#: More than a submission queue holds: prepared at once, their first accepts would be submitted on the way, 40 ms of it.
MANY = 5000
ADOPTION_NANOSECONDS_MAX = 5_000_000
#: The most that are remembered, by their number.
HISTORY_ENTRIES = 1000
GROWTH_BYTES_MAX = 2 * 1024 * 1024


class Changes:
    """Replaces services and backends every 20 ms, from `with` to its end; each change must be accepted.

    All backends it names work, so that no change is a reason for a session to fail.
    """

    def __init__(self, shuttled: Shuttled, address: str, addresses: dict[str, str], seed: int) -> None:
        self._shuttled = shuttled
        self._address = address
        self._addresses = addresses
        self._source = random.Random(seed)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.made = 0
        self.fault: BaseException | None = None

    def __enter__(self) -> Changes:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done.set()
        self._thread.join(30)
        if kind is None and self.fault is not None:
            raise self.fault

    def fill_history(self) -> None:
        """Makes as many as are remembered, one after the other, so that what is remembered grows no more."""
        with self._shuttled.admin.open() as session:
            for method, path, body in itertools.islice(self._plan(), HISTORY_ENTRIES):
                session.request(method, path, json=body, headers={"Prefer": "return=minimal"}).expect(204)

    def _run(self) -> None:
        try:
            with self._shuttled.admin.open() as session:
                for method, path, body in self._plan():
                    session.request(method, path, json=body).expect(200)
                    self.made += 1
                    if self._done.wait(CHANGE_SECONDS):
                        return
        except BaseException as error:  # noqa: B902 - raised at the end of the block
            self.fault = error

    def _plan(self) -> Iterator[tuple[str, str, Any]]:
        choose = self._source
        names = sorted(self._addresses)
        while True:
            some = choose.sample(names, choose.randint(1, len(names)))
            backends = [backend(name, self._addresses[name], weight=choose.randint(1, 5)) for name in some]
            yield "PUT", "/web", service("web", self._address, backends, balance=choose.choice(["RR", "LC", "P2C", "RANDOM", "HASH"]))
            name = choose.choice(names)
            yield "PUT", f"/web/{name}", backend(name, self._addresses[name], weight=choose.randint(1, 5))
            # The same name at another backend's address: a new backend, while sessions of the old one go on.
            yield "PUT", f"/web/{name}", backend(name, self._addresses[choose.choice(names)])
            whole = [service("web", self._address, backends), service(f"s{choose.randint(0, 3)}", free_address())]
            yield "PUT", "/config", whole
            yield "DELETE", f"/{whole[1]['name']}", None
            yield "PUT", "/web/spare", backend("spare", self._addresses[names[0]])
            yield "DELETE", "/web/spare", None


@pytest.mark.time_limit(180)
def test_twenty_thousand_sessions_survive_a_change_every_20_ms(stage: Stage) -> None:
    """Case 23: 10,000 sequential and 200 times 50 concurrent sessions with random payloads, hashes equal, none failed,
    mixed or reset; descriptors as before, and memory within 2 MiB of what it was after warming up."""
    servers = stage.add(NameServers("a", "b", "c", "d"))
    address = free_address()
    backends = [backend(name, to) for name, to in servers.addresses.items()]
    shuttled = stage.shuttled([service("web", address, backends)], state=True)

    def run(seed: int, sequential: int, concurrent: int, width: int) -> list[Findings]:
        jobs = [
            Job(address, sequential, 1, seed),
            Job(address, concurrent // 2, width // 2, seed + 1),
            Job(address, concurrent - concurrent // 2, width - width // 2, seed + 2),
        ]
        return [running.findings() for running in [stage.add(Sessions(job)) for job in jobs]]

    changes = Changes(shuttled, address, servers.addresses, seed=1)
    changes.fill_history()
    with changes:
        _all_right(run(100, 1500, 3000, CONCURRENT), 4500)
        shuttled.wait_idle()
        warm = shuttled.view.anonymous_bytes
        made, start = changes.made, time.monotonic()
        found = run(200, SEQUENTIAL_SESSIONS, CONCURRENT_ROUNDS * CONCURRENT, CONCURRENT)
        _all_right(found, SEQUENTIAL_SESSIONS + CONCURRENT_ROUNDS * CONCURRENT)
        made, seconds = changes.made - made, time.monotonic() - start
        shuttled.wait_idle()
        grown = shuttled.view.anonymous_bytes - warm
    assert made > seconds / CHANGE_SECONDS / 8, f"only {made} changes in {seconds:.1f} s"
    assert grown < GROWTH_BYTES_MAX, f"grew by {grown // 1024} KiB during {made} changes and 20,000 sessions"
    print(f"{made} changes, {seconds:.1f} s, memory {grown // 1024:+} KiB")


def _all_right(found: list[Findings], sessions: int) -> None:
    failures = [failure for findings in found for failure in findings.failures]
    failed = sum(findings.failed for findings in found)
    assert failed == 0, f"{failed} of {sessions} sessions: " + "\n".join(failures)
    assert sum(findings.sessions for findings in found) == sessions
    assert len({name for findings in found for name in findings.names}) == 4, "every backend had its part"


def test_what_was_answered_is_in_effect_on_every_ring(stage: Stage) -> None:
    """After the 200 the very next connection sees the change, whichever ring takes it."""
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], rings=4)
    for number in range(200):
        peer = (two, one)[number % 2]
        if number % 3:
            shuttled.admin.change("/web/b", backend("b", peer.address))
        else:
            shuttled.admin.change("/web", service("web", address, [backend("b", peer.address)]))
        assert [stage.name_at(address) for _ in range(8)] == [peer.name] * 8, f"after change {number}"


def test_two_services_change_together(stage: Stage) -> None:
    """Case 28: both go from pool A to pool B in one change. On one ring nobody may see A, B and A again within it."""
    a, b = stage.add(Named("A")), stage.add(Named("B"))
    first, second = free_address(), free_address()

    def both(peer: Named) -> list[dict[str, Any]]:
        return [service(name, at, [backend("x", peer.address)]) for name, at in (("s1", first), ("s2", second))]

    shuttled = stage.shuttled(both(a), rings=1)
    started = completed = 0
    done = threading.Event()
    fault: list[BaseException] = []

    def swap() -> None:
        nonlocal started, completed
        try:
            while not done.is_set():
                started += 1
                shuttled.admin.change("/config", both((a, b)[started % 2]))
                completed += 1
                time.sleep(0.005)
        except BaseException as error:  # noqa: B902 - raised below
            fault.append(error)

    swapping = threading.Thread(target=swap)
    swapping.start()
    looks = changed = 0
    try:
        while looks < 1500 or changed < 50:
            before = completed
            seen = stage.name_at(first), stage.name_at(second), stage.name_at(first), stage.name_at(second)
            if started - before > 1:
                continue  # two changes may have taken effect meanwhile: A, B, A is what they make
            looks += 1
            changed += len(set(seen)) > 1
            assert seen == tuple(sorted(seen)) or seen == tuple(sorted(seen, reverse=True)), f"a mix of two: {seen}"
            assert not fault
    finally:
        done.set()
        swapping.join()
    assert not fault


def test_many_new_listeners_keep_no_session_waiting(stage: Stage) -> None:
    """Five thousand services come and go at once: when that is answered each of them serves or refuses, and rings were away for less
    than the accepts of all of them take to be armed."""
    one, echo = stage.add(Named("one")), stage.add(Echo())
    address = free_address()
    web = service("web", address, [backend("b", echo.address)])
    shuttled = stage.shuttled([web], rings=2)
    session = stage.connect(address)
    many = [
        service(f"s{i}", f"127.2.{i // 100}.1:{10_000 + i % 100}", [backend("b", one.address)]) for i in range(MANY)
    ]

    def adoptions() -> dict[int, int]:
        found: dict[int, int] = {}
        for ring in shuttled.admin.get("/v1/rings").expect(200).json:
            for entry in ring["adoption_durations"]:
                found[entry["nanoseconds_max"]] = found.get(entry["nanoseconds_max"], 0) + entry["count"]
        return found

    for _ in range(2):
        shuttled.admin.change("/config", [web, *many])
        assert [stage.name_at(entry["address"]) for entry in random.Random(1).sample(many, 40)] == ["one"] * 40
        assert echoes(session)
        shuttled.admin.change("/config", [web])
        for entry in random.Random(2).sample(many, 40):
            with pytest.raises(ConnectionRefusedError):
                stage.name_at(entry["address"])
        assert echoes(session)
    before = adoptions()
    shuttled.admin.change("/config", [web, *many])
    took = sorted(bucket for bucket, count in adoptions().items() for _ in range(count - before.get(bucket, 0)))
    assert len(took) == 2, took
    # Both rings, of which one may be kept from its CPU by others in the meantime.
    assert took[0] < ADOPTION_NANOSECONDS_MAX, took
    shuttled.admin.change("/config", [web])


def test_established_sessions_survive_every_change(stage: Stage) -> None:
    """Sessions keep the backend they have, whatever becomes of it, of the service, or of the listener."""
    echo, other = stage.add(Echo()), stage.add(Named("other"))
    address = free_address()
    start = [service("web", address, [backend("b", echo.address)])]
    shuttled = stage.shuttled(start)
    sessions = [stage.connect(address) for _ in range(20)]
    assert all(echoes(session) for session in sessions)
    changes = [
        ("PUT", "/web/b", backend("b", echo.address, weight=0)),
        ("PUT", "/web/b", backend("b", other.address)),
        ("PUT", "/web/b", backend("b", echo.address)),
        ("DELETE", "/web/b", None),
        ("PUT", "/web", service("web", address, [backend("c", other.address)], balance="LC", rise=5)),
        ("PUT", "/web", service("web", free_address(), [backend("c", other.address)])),
        ("DELETE", "/web", None),
        ("PUT", "/config", start),
        ("PUT", "/config", []),
    ]
    for method, path, body in changes:
        shuttled.admin.request(method, path, json=body).expect(200)
        assert all(echoes(session, path.encode() * 1000) for session in sessions), f"after {method} {path} {body}"
    assert echo.accepted == 20
    assert other.accepted == 0


def test_counters_survive_a_change_that_keeps_the_identity(stage: Stage) -> None:
    """Service, name and address make a backend: where they stay, its counters go on; a new address begins anew."""
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address), backend("c", two.address)])])
    for _ in range(10):
        stage.name_at(address)
    shuttled.wait_idle()
    before = shuttled.admin.service("web")
    assert [entry["connections"] for entry in before["backends"]] == [5, 5]

    shuttled.admin.change(
        "/web", service("web", address, [backend("c", two.address, weight=3), backend("b", one.address)], fall=9)
    )
    after = shuttled.admin.service("web")
    for field in ("sent", "received", "errors", "connections"):
        assert after[field] == before[field], field
    assert [entry["connections"] for entry in after["backends"]] == [5, 5]
    assert [entry["received"] for entry in after["backends"]] == [20, 20]

    shuttled.admin.change("/web/c", backend("c", one.address))
    after = shuttled.admin.service("web")
    assert [entry["connections"] for entry in after["backends"]] == [0, 5], "another address is another backend"
    assert after["connections"] == before["connections"]

    shuttled.admin.remove("/web/c")
    shuttled.admin.remove("/web/b")
    after = shuttled.admin.service("web")
    for field in ("sent", "received", "errors", "connections"):
        assert after[field] == before[field], f"removing a backend lowers no total: {field}"

    moved = free_address()
    shuttled.admin.change("/web", service("web", moved, [backend("b", one.address)]))
    assert shuttled.admin.service("web")["connections"] == 10, "the service is the same at another address"
    shuttled.admin.remove("/web")
    shuttled.admin.change("/web", service("web", moved))
    assert shuttled.admin.service("web")["connections"] == 0, "a service that was removed begins anew"


def test_sessions_of_a_removed_backend_count_in_their_service(stage: Stage) -> None:
    echo = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", echo.address)])])
    session = stage.connect(address)
    assert read_line(session) == "one"
    shuttled.admin.remove("/web/b")
    entry = shuttled.admin.service("web")
    assert (entry["active"], entry["backends"]) == (1, [])
    assert echoes(session, b"12345")
    eventually(lambda: shuttled.admin.service("web")["sent"] == 5, "its bytes count on")
    session.close()
    shuttled.wait_idle()
    entry = shuttled.admin.service("web")
    assert (entry["connections"], entry["sent"], entry["received"]) == (1, 5, 9)
