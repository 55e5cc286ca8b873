"""A change every 10 ms under as many connections as the load generators make: none fails, no byte is another.

Ten seconds of it; longer with SHUTTLE_CHANGE_SECONDS=60, and `-s` shows the figures. `test_live_change.py` has the sessions that
are counted, and what single changes leave alone.
"""

from __future__ import annotations

import collections
import itertools
import os
import random
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.load import Findings, Job, NameServers, Sessions
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage

SECONDS = float(os.environ.get("SHUTTLE_CHANGE_SECONDS", "10"))
PACE_SECONDS = 0.01
NAMES = ["a", "b", "c", "d"]
#: Of each generator at a time, and its bytes: small, for connections are what there is to be many of.
CONCURRENT = 16
BYTES_MAX = 2048
HELD = 64
HISTORY_ENTRIES = 1000
GROWTH_BYTES_MAX = 2 * 1024 * 1024
#: No limit that is set comes into effect: whoever is turned away has failed.
NEVER = 1_000_000

Change = tuple[str, str, str, Any]


class Changes:
    """Makes one change after the other in a thread, no sooner than 10 ms after the one before began; each is awaited."""

    def __init__(self, shuttled: Shuttled, plan: Iterator[Change]) -> None:
        self._shuttled = shuttled
        self._plan = plan
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._fault: BaseException | None = None
        self.kinds: collections.Counter[str] = collections.Counter()
        self.milliseconds: list[float] = []
        self.seconds = 0.0

    def __enter__(self) -> Changes:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a change is not answered"
        if kind is None and self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        start = time.monotonic()
        try:
            with self._shuttled.admin.open() as session:
                for kind, method, path, body in self._plan:
                    begun = time.monotonic()
                    headers = {"Prefer": "return=minimal"}
                    session.request(method, path, json=body, headers=headers).expect(204)
                    now = time.monotonic()
                    self.milliseconds.append((now - begun) * 1000)
                    self.kinds[kind] += 1
                    if self._done.wait(max(0.0, begun + PACE_SECONDS - now)):
                        return
        except BaseException as error:  # noqa: B902 - raised at the end of the block
            self._fault = error
        finally:
            self.seconds = time.monotonic() - start

    def __str__(self) -> str:
        each = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        ordered = sorted(self.milliseconds)
        return (
            f"{len(ordered)} changes in {self.seconds:.1f} s, one every {self.seconds / len(ordered) * 1000:.1f} ms; "
            f"answered after {statistics.median(ordered):.1f} ms, p99 {ordered[len(ordered) * 99 // 100]:.1f} ms, "
            f"at most {ordered[-1]:.1f} ms ({each})"
        )


def of_all_kinds(address: str, addresses: dict[str, str], seed: int) -> Iterator[Change]:
    """Changes of which none is a reason for a connection to fail: one backend at least can be used at any time."""
    choose = random.Random(seed)
    extra = free_address()

    def some(count_min: int = 1) -> list[dict[str, Any]]:
        names = choose.sample(NAMES, choose.randint(count_min, len(NAMES)))
        return [backend(name, addresses[name], weight=choose.randint(1, 5)) for name in names]

    def web(**fields: Any) -> dict[str, Any]:
        return service("web", address, some(), balance=choose.choice(["RR", "LC", "P2C", "RANDOM", "HASH"]), **fields)

    while True:
        name = choose.choice(NAMES)
        yield "backend added", "PUT", f"/web/{name}", backend(name, addresses[name], weight=choose.randint(1, 9))
        yield "weight", "PATCH", f"/web/{name}", {"weight": choose.randint(10, 256)}
        yield "backend added", "PUT", "/web/spare", backend("spare", addresses[choose.choice(NAMES)])
        yield "limits", "PATCH", "/web", choose.choice(
            [
                {"max_connections": NEVER + choose.randint(0, 9), "queue_limit": choose.randint(1, 9)},
                {"max_connections": None, "queue_limit": None},
                {"rate_limit": {"per_second": NEVER, "burst": NEVER, "per": "service", "action": "refuse"}},
                {"rate_limit": None},
                {"bandwidth_limit": {"upload": 1 << 30, "download": 1 << 30}},
                {"bandwidth_limit": None},
            ]
        )
        yield "service added", "PUT", "/extra", service("extra", extra, some())
        yield "backend removed", "DELETE", "/web/spare", None
        yield "patch of backends", "PATCH", "/web", {
            "fall": choose.randint(1, 9),
            "backends": {name: {"state": "drain"}, "other": backend("other", addresses[name], weight=choose.randint(1, 5))},
        }
        yield "service replaced", "PUT", "/web", web(rise=choose.randint(1, 9))
        yield "service removed", "DELETE", "/extra", None
        yield "everything replaced", "PUT", "/config", [web(), *(service(f"s{i}", free_address()) for i in range(choose.randint(0, 3)))]


def run(stage: Stage, address: str, seed: int, seconds: float) -> list[Findings]:
    new = [Job(address, 0, CONCURRENT, seed + number, BYTES_MAX, NAMES, seconds) for number in range(2)]
    held = Job(address, 0, HELD, seed + 2, 4 * BYTES_MAX, NAMES, seconds, is_held=True)
    return [running.findings() for running in [stage.add(Sessions(job)) for job in (*new, held)]]


def check(found: list[Findings]) -> None:
    failures = [failure for findings in found for failure in findings.failures]
    assert not failures, f"{sum(f.failed for f in found)} failed: " + "\n".join(failures)
    assert found[-1].sessions == HELD and all(findings.bytes > 0 for findings in found)
    assert {name for findings in found for name in findings.names} == set(NAMES), "every backend had its part"


@pytest.mark.time_limit(int(120 + 3 * SECONDS))
def test_no_connection_notices_a_change_every_10_ms(stage: Stage) -> None:
    """Memory is bounded, and in the end every counter is back at zero and every descriptor closed."""
    servers = stage.add(NameServers(*NAMES))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend(n, servers.addresses[n]) for n in NAMES])], state=True)
    plan = of_all_kinds(address, servers.addresses, seed=2)
    # As many as are remembered, so that what is remembered grows no more.
    with shuttled.admin.open() as session:
        for _, method, path, body in itertools.islice(plan, HISTORY_ENTRIES):
            session.request(method, path, json=body, headers={"Prefer": "return=minimal"}).expect(204)
    with Changes(shuttled, plan):
        check(run(stage, address, 200, min(3.0, SECONDS)))
    shuttled.wait_idle()
    warm = shuttled.view.anonymous_bytes
    with Changes(shuttled, of_all_kinds(address, servers.addresses, seed=1)) as changes:
        found = run(stage, address, 100, SECONDS)
    check(found)
    assert len(changes.milliseconds) > changes.seconds / PACE_SECONDS / 8, f"too few: {changes}"
    assert len(changes.kinds) == 9 and min(changes.kinds.values()) > 0, changes
    shuttled.wait_idle()
    shuttled.check_leaks()
    grown = shuttled.view.anonymous_bytes - warm
    assert grown < GROWTH_BYTES_MAX, f"grew by {grown // 1024} KiB: {changes}"
    connections = sum(findings.sessions for findings in found)
    print(
        f"{changes}\n{connections} connections, {connections / changes.seconds:.0f} a second, {HELD} of them from beginning to "
        f"end; {sum(f.bytes for f in found) / 1e6:.0f} MB compared; 0 failed; memory {grown // 1024:+} KiB"
    )


def test_a_change_that_does_leave_a_gap_is_noticed(stage: Stage) -> None:
    """The same load while the service is removed and added again: what no connection notices is not what nobody looks at."""
    servers = stage.add(NameServers(*NAMES))
    address = free_address()
    web = service("web", address, [backend(n, servers.addresses[n]) for n in NAMES])
    shuttled = stage.shuttled([web])

    def gaps() -> Iterator[Change]:
        while True:
            yield "service removed", "DELETE", "/web", None
            yield "service added", "PUT", "/web", web

    with Changes(shuttled, gaps()) as changes:
        found = run(stage, address, 300, 1.0)
    assert changes.kinds["service removed"] > 1
    with pytest.raises(AssertionError, match="failed: session"):
        check(found)
    shuttled.admin.change("/web", web)
