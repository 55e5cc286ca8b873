"""Owns what is wanted of each workload, and whether a run has shown it.

Leaves to others the measuring and the printing. Pure. A goal holds, or is missed, when its whole interval lies on one
side of it; an interval that contains the goal establishes nothing, on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from measuring import figures
from measuring.figures import Interval, Sample

HELD, MISSED, OPEN, ABSENT = "held", "missed", "not established", "not measured"


@dataclass(frozen=True)
class Goal:
    """A limit for a figure: of the ratio to the best peer, or (`is_ratio` false) of shuttled's own figure."""

    workload: str
    figure: str
    title: str
    limit: float
    at_least: bool = False
    is_ratio: bool = True
    unit: str = ""

    @property
    def text(self) -> str:
        return f"{self.title} {'≥' if self.at_least else '≤'} {self.limit:g}{' ' + self.unit if self.unit else ''}"


GOALS = (
    Goal("bulk-1", "cpu", "CPU", 1.0),
    Goal("bulk-1", "cpu", "then CPU", 0.9),
    Goal("bulk-8", "cpu", "CPU", 0.85),
    Goal("keep-alive-1", "cpu", "CPU", 0.95),
    Goal("keep-alive-1", "rate", "rate", 1.0, at_least=True),
    Goal("keep-alive-1", "p50", "latency p50", 1.0),
    Goal("keep-alive-1", "p99", "latency p99", 1.0),
    Goal("keep-alive-1", "p999", "latency p99.9", 1.0),
    Goal("keep-alive-50", "cpu", "CPU", 0.85),
    Goal("keep-alive-50", "rate", "rate", 1.0, at_least=True),
    Goal("keep-alive-50", "machine", "CPU of the machine", 1.0),
    Goal("keep-alive-500", "cpu", "CPU", 0.70),
    Goal("keep-alive-500", "rate", "rate", 1.1, at_least=True),
    Goal("churn", "cpu", "CPU", 0.75),
    Goal("churn", "rate", "rate", 1.1, at_least=True),
    Goal("idle-5000", "session", "memory per idle session", 1024, is_ratio=False, unit="bytes"),
    Goal("change", "adoption_p999", "adoption p99.9", 100, is_ratio=False, unit="µs"),
)


@dataclass(frozen=True)
class Judged:
    """A goal and what was measured; `peer` is who shuttled was compared with."""

    goal: Goal
    peer: str | None
    measured: Interval | None
    verdict: str


def verdict(goal: Goal, measured: Interval | None) -> str:
    if measured is None:
        return ABSENT
    if goal.at_least:
        return HELD if measured.low >= goal.limit else MISSED if measured.high < goal.limit else OPEN
    return HELD if measured.high <= goal.limit else MISSED if measured.low > goal.limit else OPEN


def judge(goal: Goal, samples: Mapping[str, Sequence[Sample]], ours: str, peers: Sequence[str]) -> Judged:
    """Compares with the peer that needs the least CPU in this run."""
    if not goal.is_ratio:
        values = [sample[goal.figure] for sample in samples[ours] if goal.figure in sample]
        measured = figures.bootstrap(values) if values else None
        return Judged(goal, None, measured, verdict(goal, measured))
    peer = figures.best(samples, peers)
    measured = figures.ratio(samples[ours], samples[peer], goal.figure) if peer else None
    return Judged(goal, peer, measured, verdict(goal, measured))
