"""Checks perf/configuration by a short run on small sizes, and what it reckons of the rings' histograms."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from measuring.durations import Durations
from measuring.failure import Failure

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "perf" / "configuration"
BINARY = os.environ.get("SHUTTLED", "")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def ring(number: int, *counts: tuple[int, int]) -> dict[str, Any]:
    durations = [{"nanoseconds_max": bucket, "count": count} for bucket, count in counts]
    return {"ring": number, "adoptions": sum(count for _, count in counts), "adoption_durations": durations}


def test_rings_are_taken_together_and_what_was_before_is_left_out() -> None:
    before = Durations.of([ring(0, (1000, 1)), ring(1, (90_000, 1))])
    after = Durations.of([ring(0, (1000, 500), (2000, 500)), ring(1, (1000, 1), (90_000, 2))])
    between = after.since(before)
    assert between.count == 1001
    assert between.microseconds(500) == 2.0
    assert (between.microseconds(998), between.microseconds(1000)) == (2.0, 90.0)
    assert between.plus(between).count == 2002


@pytest.mark.parametrize(("per_mille", "expected"), [(1, 1.0), (500, 1.0), (501, 2.0), (999, 3.0), (1000, 3.0)])
def test_a_quantile_of_few_is_one_of_them(per_mille: int, expected: float) -> None:
    assert Durations(Counter({3000: 1, 1000: 2, 2000: 1})).microseconds(per_mille) == expected


def test_what_cannot_be_is_refused() -> None:
    for rings in (None, [{"ring": 0, "adoptions": 3}], [{"ring": 0, "adoptions": 1, "adoption_durations": [{"count": "x"}]}]):
        with pytest.raises(Failure, match="newer build"):
            Durations.of(rings)
    with pytest.raises(Failure, match="counts 7 adoptions"):
        Durations.of([ring(0, (1000, 3)) | {"adoptions": 7}])
    one, two = Durations.of([ring(0, (1000, 1))]), Durations.of([ring(0, (1000, 2))])
    with pytest.raises(Failure, match="started anew"):
        one.since(two)
    with pytest.raises(Failure, match="nothing was adopted"):
        one.since(one).microseconds(999)
    with pytest.raises(ValueError):
        one.microseconds(0)


@pytest.mark.skipif(not BINARY, reason="SHUTTLED names no release build")
def test_a_run_prints_every_change_at_every_size() -> None:
    done = run("--shuttled", BINARY, "--sizes", "3,30", "--backends", "2", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\d+) services, (\d+) backends", done.stdout, re.MULTILINE) == [("3", "6"), ("30", "60")]
    rows = re.findall(r"^  (\S.*?)  +(\d+\.\d) ms  \((\d+\.\d) to (\d+\.\d)\)(.*)$", done.stdout, re.MULTILINE)
    assert len(rows) == 2 * 12, done.stdout
    assert all(0 < float(low) <= float(median) <= float(high) for _, median, low, high, _ in rows)
    adoptions = {title: re.search(r"adoption (\d+\.\d) µs", rest) for title, _, _, _, rest in rows}
    # What changes nothing reaches no ring; everything else is adopted.
    assert {title for title, found in adoptions.items() if not found} == {"everything replaced, nothing changed"}
    assert all(float(found[1]) < 100_000 for found in adoptions.values() if found)
    totals = re.findall(r"(\d+) adoptions: median \d+\.\d, p99 \d+\.\d, p99.9 \d+\.\d, longest (\d+\.\d) µs", done.stdout)
    # Two rings take up what six changes and four that undo them are, two times; a listener is removed in three steps, of
    # which nobody waits for the last.
    least, most = 2 * 2 * (6 + 2 + 2 * 2), 2 * 2 * (6 + 2 + 2 * 3)
    assert [least <= int(count) <= most for count, _ in totals] == [True] * 2, done.stdout
    assert len(re.findall(r"memory in the end +\d+ MB", done.stdout)) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--shuttled", "/bin/false", "--sizes", "1"], "ended with 1"),
        (["--sizes", "0"], "list of numbers"),
        (["--sizes", "5,x"], "'5,x'"),
        (["--rounds", "0"], "from 1 to 100"),
        (["--sizes", "100000000"], "descriptors"),
    ],
)
def test_what_cannot_be_measured_is_told(arguments: list[str], word: str) -> None:
    done = run(*arguments)
    assert done.returncode != 0 and word in done.stderr, (done.returncode, done.stderr)
