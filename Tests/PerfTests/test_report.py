"""What is printed, written and drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from measuring import builds, charts, goals, report, results
from measuring.commands import FINISHED, main
from measuring.failure import Failure
from measuring.goals import GOALS
from measuring.workloads import WORKLOADS

REPOSITORY = Path(__file__).resolve().parents[2]
WORKLOAD = next(each for each in WORKLOADS if each.name == "keep-alive-50")
SAMPLES = {
    "shuttled": [{"cpu": 8.0, "rate": 90.0, "machine": 30.0}, {"cpu": 8.2, "rate": 91.0, "machine": 31.0}],
    "haproxy-copy": [{"cpu": 12.0, "rate": 120.0, "machine": 33.0}, {"cpu": 12.5, "rate": 125.0, "machine": 34.0}],
    "nginx": [{"cpu": 10.0, "rate": 100.0, "machine": 30.0}, {"cpu": 10.0, "rate": 100.0, "machine": 30.0}],
}
FACTS = {
    "date": "2026-01-02T03:04:05+00:00", "commit": "abc", "kernel": "6.18", "cores": 2, "congestion_control": "cubic",
    "programs": {},
}


def content(samples: dict[str, list[dict[str, float]]], ours: str = "shuttled") -> dict[str, object]:
    workload = {"title": WORKLOAD.title, "cpu_unit": "µs/request", "rate_unit": "requests/s", "samples": samples}
    return results.document(FACTS, {"pairs": 2, "seconds": 1, "quick": False, "ours": ours}, {WORKLOAD.name: workload})


def test_the_ratios_are_to_the_best_peer_and_name_a_better_one_where_there_is_one() -> None:
    text = report.workload(WORKLOAD, SAMPLES, "shuttled", ["haproxy-copy", "nginx"])
    assert "shuttled / nginx, the best of the peers by CPU:" in text
    cpu = next(line for line in text.splitlines() if line.strip().startswith("CPU of the proxy"))
    assert "0.81 (0.80 to 0.82)" in cpu and "best in this" not in cpu
    rate = next(line for line in text.splitlines() if line.strip().startswith("rate"))
    assert "0.91 (0.90 to 0.91)" in rate and "to haproxy-copy, best in this: 0.74" in rate


def test_a_figure_that_nobody_has_is_not_printed() -> None:
    assert "p99" not in report.workload(WORKLOAD, SAMPLES, "shuttled", ["nginx"])


def test_each_goal_is_a_line_with_its_verdict() -> None:
    judged = [
        goals.judge(goal, SAMPLES, "shuttled", ["haproxy-copy", "nginx"]) for goal in GOALS
        if goal.workload == WORKLOAD.name
    ]
    lines = report.goals(judged).splitlines()
    assert [line.split()[-1] for line in lines if line.strip().startswith("keep-alive-50")] == [
        "held", "missed", "established"
    ]


def test_results_are_written_whole_and_read_again(tmp_path: Path) -> None:
    written = content(SAMPLES)
    path = results.write(tmp_path / "new", written)
    assert results.read(path) == written == results.read(path.parent)
    assert [each.name for each in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 0, "workloads": {}}', '{"format": 1}'])
def test_what_is_no_results_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(Failure, match="results"):
        results.read(path)


def test_two_files_of_results_are_compared_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = results.write(tmp_path / "old", content(SAMPLES))
    new = results.write(tmp_path / "new", content({"shuttled": [{"cpu": 4.05, "rate": 90.0}] * 2}))
    assert main(["compare", "--validate", str(old), str(new)]) == FINISHED
    text = capsys.readouterr().out
    assert "not measured side by side" in text
    assert "0.50 (0.49 to 0.51)" in text


def test_results_are_not_compared_with_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = results.write(tmp_path, content(SAMPLES))
    assert main(["compare", "--validate", str(old), "/bin/true"]) == 1
    assert "results can be compared with results only" in capsys.readouterr().err


def test_what_is_compared_is_told_apart(tmp_path: Path) -> None:
    assert builds.kind("/bin/true", REPOSITORY) == "binary"
    text = tmp_path / "notes"
    text.write_text("")
    with pytest.raises(Failure, match="not executable"):
        builds.kind(str(text), REPOSITORY)
    with pytest.raises(Failure, match="no git revision"):
        builds.kind("--help", REPOSITORY)


def test_rows_of_a_chart_begin_with_the_best_peer_and_carry_the_goals() -> None:
    wanted = [goal for goal in GOALS if goal.workload == WORKLOAD.name]
    rows = charts.rows(SAMPLES, "shuttled", ["haproxy-copy", "nginx"], wanted)
    assert rows[0].label == "CPU of the proxy" and rows[0].goals == (0.85,) and not rows[0].is_aside
    assert rows[-1].label == "CPU, to haproxy-copy" and rows[-1].is_aside and rows[-1].goals == ()


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (0.5, 5), (0.02, 1.1), (0.97, 1.02)])
def test_marks_of_an_axis_lie_within_it_and_apart(low: float, high: float) -> None:
    ticks = charts.ticks_within(low, high)
    assert 1 in ticks and all(low <= tick <= high for tick in ticks)
    assert all(b / a >= (high / low) ** 0.09 for a, b in zip(ticks, ticks[1:], strict=False))


def test_a_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no matplotlib here: run scripts/setup perf")
    wanted = [goal for goal in GOALS if goal.workload == WORKLOAD.name]
    path = tmp_path / "chart.svg"
    charts.draw(path, WORKLOAD, SAMPLES, "shuttled", ["haproxy-copy", "nginx"], wanted, "a caption")
    assert path.read_text().startswith("<?xml")


def test_goals_of_the_readme_are_those_that_are_judged() -> None:
    text = (REPOSITORY / "perf" / "README.md").read_text().replace("1 KiB", "1024")
    stated = {
        line.split("`")[1]: sorted(
            (symbol, float(limit)) for symbol, limit in re.findall(r"([≤≥]) ([\d.]+)", line)
        )
        for line in text.splitlines() if re.match(r"\| `[\w-]+` \|.*[≤≥]", line)
    }
    judged: dict[str, list[tuple[str, float]]] = {}
    for goal in GOALS:
        judged.setdefault(goal.workload, []).append(("≥" if goal.at_least else "≤", goal.limit))
    # Three percentiles of latency are one goal in words.
    judged["keep-alive-1"] = [*dict.fromkeys(judged["keep-alive-1"])]
    assert stated == {name: sorted(limits) for name, limits in judged.items()}


def test_results_are_json_that_others_can_read(tmp_path: Path) -> None:
    path = results.write(tmp_path, content(SAMPLES))
    samples = json.loads(path.read_text())["workloads"]["keep-alive-50"]["samples"]
    assert [sample["cpu"] for sample in samples["nginx"]] == [10.0, 10.0]
