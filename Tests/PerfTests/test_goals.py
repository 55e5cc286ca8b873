"""A goal holds only when the whole interval says so."""

from __future__ import annotations

import pytest
from measuring import goals, workloads
from measuring.figures import FIGURES, Interval
from measuring.goals import ABSENT, HELD, MISSED, OPEN, Goal

AT_MOST = Goal("w", "cpu", "CPU", 0.85)
AT_LEAST = Goal("w", "rate", "rate", 1.1, at_least=True)


@pytest.mark.parametrize(
    ("goal", "measured", "verdict"),
    [
        (AT_MOST, Interval(0.80, 0.75, 0.85), HELD),
        (AT_MOST, Interval(0.80, 0.75, 0.86), OPEN),
        (AT_MOST, Interval(0.90, 0.84, 0.95), OPEN),
        (AT_MOST, Interval(0.90, 0.86, 0.95), MISSED),
        (AT_LEAST, Interval(1.20, 1.10, 1.30), HELD),
        (AT_LEAST, Interval(1.20, 1.09, 1.30), OPEN),
        (AT_LEAST, Interval(1.00, 0.90, 1.10), OPEN),
        (AT_LEAST, Interval(1.00, 0.90, 1.09), MISSED),
        (AT_MOST, None, ABSENT),
    ],
)
def test_a_verdict_needs_the_whole_interval(goal: Goal, measured: Interval | None, verdict: str) -> None:
    assert goals.verdict(goal, measured) == verdict


def test_shuttled_is_compared_with_the_peer_that_needs_least() -> None:
    samples = {
        "shuttled": [{"cpu": 8.0, "rate": 10.0}] * 3,
        "worse": [{"cpu": 20.0, "rate": 1.0}] * 3,
        "best": [{"cpu": 10.0, "rate": 20.0}] * 3,
    }
    judged = goals.judge(AT_MOST, samples, "shuttled", ["worse", "best"])
    assert (judged.peer, judged.measured, judged.verdict) == ("best", Interval(0.8, 0.8, 0.8), HELD)
    # The rate is judged beside the same peer, though beside the other one it would have held.
    assert goals.judge(AT_LEAST, samples, "shuttled", ["worse", "best"]).verdict == MISSED


def test_a_figure_of_its_own_is_judged_without_a_peer() -> None:
    goal = Goal("w", "session", "memory", 1024, is_ratio=False)
    samples = {"shuttled": [{"session": 900.0}, {"session": 1000.0}, {"session": 950.0}], "peer": [{"session": 1.0}] * 3}
    assert goals.judge(goal, samples, "shuttled", ["peer"]).verdict == HELD
    samples["shuttled"] = [{"session": 1100.0}] * 3
    assert goals.judge(goal, samples, "shuttled", ["peer"]).verdict == MISSED
    assert goals.judge(goal, {"shuttled": [{}]}, "shuttled", []).verdict == ABSENT


def test_a_ratio_without_a_peer_is_not_measured() -> None:
    assert goals.judge(AT_MOST, {"shuttled": [{"cpu": 1.0}]}, "shuttled", []).verdict == ABSENT


def test_every_goal_is_of_a_workload_that_a_quick_run_has_and_of_a_figure_that_is_taken() -> None:
    quick = {each.name for each in workloads.WORKLOADS if each.quick}
    compared = {figure.name for figure in FIGURES}
    for goal in goals.GOALS:
        assert goal.workload in quick
        assert not goal.is_ratio or goal.figure in compared
