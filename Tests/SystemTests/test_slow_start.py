"""A backend that has come back gets its share of new connections step by step."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import eventually

RAMP_MILLISECONDS = 3000


class Pair:
    """A service of `old` and `new`, both with a slow start."""

    def __init__(self, stage: Stage, milliseconds: int = RAMP_MILLISECONDS, **fields: object) -> None:
        self.stage = stage
        self.address = free_address()
        self.peers = {name: stage.add(Named(name)) for name in ("old", "new")}
        self.backends = [
            backend(name, peer.address, slow_start=milliseconds, **fields) for name, peer in self.peers.items()
        ]

    def start(self, **fields: object) -> Shuttled:
        self.shuttled = self.stage.shuttled([service("web", self.address, self.backends, **fields)])
        return self.shuttled

    def percent(self, name: str = "new") -> int:
        return self.shuttled.admin.backend("web", name)["slow_start_percent"]

    def set(self, name: str, **fields: object) -> None:
        body = next(b for b in self.backends if b["name"] == name)
        self.shuttled.admin.change(f"/web/{name}", {**body, **fields})

    def names(self, count: int) -> Counter[str]:
        return Counter(self.stage.name_at(self.address) for _ in range(count))


def new_share(names: Counter[str]) -> float:
    return names["new"] / max(1, names.total())


def test_its_share_rises_from_little_to_all(stage: Stage) -> None:
    pair = Pair(stage)
    pair.start()
    assert pair.percent() == 100, "nobody ramps at the start"
    assert pair.names(20) == {"old": 10, "new": 10}
    pair.set("new", state="maintenance")
    assert pair.names(10) == {"old": 10}
    pair.set("new")
    first = pair.names(21)
    assert 1 <= first["new"] <= 3, f"right after its return it is protected: {first}"
    by_percent: dict[int, Counter[str]] = {}

    def has_arrived() -> bool:
        """Notes connections by the share that counted before and after them."""
        before = pair.percent()
        names = pair.names(10)
        if pair.percent() == before:
            by_percent.setdefault(before, Counter()).update(names)
        return before == 100

    eventually(has_arrived, "the ramp ends", 20)
    assert len(by_percent) >= 10, by_percent.keys()

    def part(percents: range) -> float:
        return new_share(sum((names for percent, names in by_percent.items() if percent in percents), Counter()))

    # What weights of p and 100 make of it: p / (100 + p).
    low, middle, high = part(range(5, 25)), part(range(40, 61)), part(range(80, 100))
    assert low < 0.21 and 0.23 < middle < 0.43 and 0.4 < high < 0.55 and low < middle < high, (low, middle, high)
    assert pair.names(40) == {"old": 20, "new": 20}


def test_checks_bring_it_back_slowly_and_a_failure_begins_it_anew(stage: Stage) -> None:
    pair = Pair(stage, 60_000)
    for entry in pair.backends:
        entry["check_address"] = entry["address"]
    pair.start(check_interval=50, fall=1, rise=1)

    def is_up() -> bool:
        return pair.shuttled.admin.backend("web", "new")["up"]

    assert is_up() and pair.percent() == 100
    for _ in range(2):
        pair.peers["new"].close()
        eventually(lambda: not is_up(), "it is down")
        assert pair.percent() == 100, "it does not ramp while it is down"
        pair.peers["new"] = stage.add(Named("new", pair.backends[1]["address"]))
        eventually(is_up, "it is up")
        assert pair.percent() == 5
        eventually(lambda: pair.names(21)["new"] == 1, "a turn in twenty-one")
        # So that a beginning can be told from what was.
        pair.set("new", slow_start=6000, check_address=pair.backends[1]["address"])
        eventually(lambda: 50 <= pair.percent() < 100, "it climbs")
        pair.set("new", check_address=pair.backends[1]["address"])


def test_what_is_added_ramps_and_what_stays_does_not(stage: Stage) -> None:
    pair = Pair(stage, 60_000)
    shuttled = pair.start()
    third = stage.add(Named("third"))
    shuttled.admin.change("/web/third", backend("third", third.address, slow_start=60_000))
    assert [pair.percent(name) for name in ("old", "new", "third")] == [100, 100, 5]
    assert pair.names(41) == {"old": 20, "new": 20, "third": 1}
    pair.set("old", weight=2)
    assert [pair.percent(name) for name in ("old", "new", "third")] == [100, 100, 5]
    assert pair.names(61) == {"old": 40, "new": 20, "third": 1}
    shuttled.admin.remove("/web/third")
    assert pair.names(30) == {"old": 20, "new": 10}


def test_a_reload_leaves_a_ramp_where_it_is(stage: Stage) -> None:
    pair = Pair(stage, 4000)
    shuttled = pair.start()
    pair.set("new", state="drain")
    pair.set("new")
    eventually(lambda: pair.percent() >= 30, "it climbs")
    before = pair.percent()
    pair.backends[0]["weight"] = 3
    shuttled.write_config([service("web", pair.address, pair.backends)])
    shuttled.signal(signal.SIGHUP)
    eventually(lambda: shuttled.admin.backend("web", "old")["weight"] == 3, "the file is read again")
    assert before <= pair.percent()
    eventually(lambda: pair.percent() == 100, "it arrives")


def test_a_lone_one_gets_everybody_and_its_time_changes_live(stage: Stage) -> None:
    pair = Pair(stage, 60_000)
    shuttled = pair.start()
    pair.set("new", state="maintenance")
    pair.set("new")
    assert pair.percent() == 5
    pair.set("old", state="drain")
    assert pair.names(20) == {"new": 20}, "nobody is turned away for the sake of a ramp"
    pair.set("old")
    assert pair.names(20) == {"old": 10, "new": 10}, "both begin, and so they are equal"
    pair.set("new", slow_start=0)
    assert pair.percent() == 100 and pair.percent("old") == 5
    assert pair.names(21) == {"old": 1, "new": 20}
    assert shuttled.admin.service("web")["errors"] == 0


@pytest.mark.parametrize(("value", "words"), [(-1, "-1"), (86_400_001, "86400000"), ("1s", "milliseconds")])
def test_a_bad_time_is_refused(stage: Stage, value: object, words: str) -> None:
    pair = Pair(stage)
    shuttled = pair.start()
    body = {**pair.backends[0], "slow_start": value}
    shuttled.admin.put("/web/old", body).problem(400).points_to("/slow_start").says("slow_start", words)
    assert shuttled.admin.config()[0]["backends"][0]["slow_start"] == RAMP_MILLISECONDS
