"""What shuttled says of its rings at `/v1/rings`: sessions, bytes spliced, and the time that changes took from them."""

from __future__ import annotations

from typing import Any

from harness.peers import Echo, Recorder
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import background, echoes, finish
from harness.wait import eventually

MIB = 1024 * 1024
RINGS = 2
# What a ring may go on counting after it has done what was asked.
WORK = ["turns", "submissions", "completions", "completion_overflows"]
COUNTERS = [
    *WORK,
    "starvations", "accept_pauses", "stale_completions", "spliced_bytes", "adoptions", "adoption_microseconds_p999",
    "adoption_microseconds_max", "inspection_turns", "inspection_microseconds_p999", "inspection_microseconds_max",
]  # fmt: skip


def rings(shuttled: Shuttled) -> list[dict[str, Any]]:
    return shuttled.admin.get("/v1/rings").expect(200).json


def total(shuttled: Shuttled, field: str) -> int:
    return sum(ring[field] for ring in rings(shuttled))


def without_work(ring: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ring.items() if name not in WORK}


def test_each_ring_says_what_it_has_done(stage: Stage) -> None:
    front = stage.front(stage.add(Echo()).address, rings=RINGS)
    response = front.shuttled.admin.get("/v1/rings").expect(200)
    assert response.content_type == "application/json"
    assert response.body.startswith(b'[\n  {\n    "ring": 0,\n') and response.body.endswith(b"\n  }\n]\n")
    for number, ring in enumerate(response.json):
        assert list(ring) == ["ring", "sessions", *COUNTERS, "adoption_durations"]
        assert ring["ring"] == number
        assert all(isinstance(ring[name], int) and ring[name] >= 0 for name in ("sessions", *COUNTERS))
    assert len(response.json) == RINGS
    head = front.shuttled.admin.request("HEAD", "/v1/rings").expect(200)
    assert head.body == b"" and head.headers["content-length"] is not None


def test_every_ring_counts_each_change_and_the_time_it_took(stage: Stage) -> None:
    address, peer = free_address(), stage.add(Echo())
    shuttled = stage.shuttled([service("web", address, [backend("b", peer.address)])], rings=RINGS)
    # What is answered is counted: nothing needs to be waited for.
    before = rings(shuttled)
    changes = 5
    for weight in range(2, 2 + changes):
        shuttled.admin.change("/web/b", {"address": peer.address, "weight": weight})
    after = rings(shuttled)
    for old, new in zip(before, after):
        assert old["adoptions"] >= 1, "the configuration of the start was adopted"
        assert new["adoptions"] == old["adoptions"] + changes
        assert new["adoption_microseconds_max"] >= max(1, old["adoption_microseconds_max"])
        assert 1 <= new["adoption_microseconds_p999"] <= new["adoption_microseconds_max"]
        durations = new["adoption_durations"]
        assert sum(duration["count"] for duration in durations) == new["adoptions"]
        edges = [duration["nanoseconds_max"] for duration in durations]
        assert edges == sorted(set(edges)) and edges[-1] >= 1000 * (new["adoption_microseconds_max"] - 1)
    # Reading changes nothing.
    assert [without_work(ring) for ring in rings(shuttled)] == [without_work(ring) for ring in after]


def test_sessions_of_the_rings_are_the_connections_that_are_open(stage: Stage) -> None:
    front = stage.front(stage.add(Echo()).address, rings=RINGS)
    connections = [front.connect() for _ in range(20)]
    assert all(echoes(connection) for connection in connections)
    assert total(front.shuttled, "sessions") == 20
    for ring in rings(front.shuttled):
        # Each session takes an accept, a connect, receives and sends; a turn may have many of them.
        assert ring["turns"] > 0 and ring["completion_overflows"] == 0
        assert ring["submissions"] > 3 * ring["sessions"] and ring["completions"] > 3 * ring["sessions"]
    for connection in connections[:8]:
        connection.close()
    eventually(lambda: total(front.shuttled, "sessions") == 12, "the sessions of closed connections are gone")


def test_bytes_in_bulk_count_as_spliced(stage: Stage) -> None:
    recorder = stage.add(Recorder())
    front = stage.front(recorder.address, rings=RINGS)
    size = 64 * MIB
    assert total(front.shuttled, "spliced_bytes") == 0
    with front.connect() as connection:
        with background(lambda: (connection.sendall(bytes(size)), finish(connection))):
            assert len(recorder.ended().data) == size
    assert 0 < total(front.shuttled, "spliced_bytes") <= size
