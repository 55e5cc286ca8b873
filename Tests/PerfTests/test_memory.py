"""Checks perf/memory by a short run, by what it refuses, and by what it reckons of a control group."""

from __future__ import annotations

import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "perf" / "memory"
BINARY = os.environ.get("SHUTTLED", "")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--connections", "99"], "from 100 to 5500"), (["--connections", "many"], "from 100 to 5500"),
     (["--stalled", "0"], "from 2 to 500"), (["--rounds", "0"], "from 1 to 20")],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr, done


def test_a_program_that_is_not_there_is_named() -> None:
    if os.geteuid() != 0:
        pytest.fail("the tests of whole runs need root")
    done = run("--shuttled", "/nonexistent/shuttled", "--rounds", "1")
    assert done.returncode == 1 and "/nonexistent/shuttled" in done.stderr, done


def test_bytes_are_told_in_fitting_units() -> None:
    text = runpy.run_path(str(SCRIPT))["text"]
    assert text([700.4, 600.0, 800.0]) == "700 B (600 to 800)"
    assert text([2_000_000.0, 3_000_000.0, 1_000_000.0]) == "2,000 kB (1,000 to 3,000)"


@pytest.mark.skipif(not BINARY, reason="needs $SHUTTLED, a release build")
def test_a_short_run_counts_what_connections_take() -> None:
    done = run("--shuttled", BINARY, "--connections", "400", "--stalled", "10", "--rounds", "1")
    assert done.returncode == 0, done
    rows = re.findall(r"^  (shuttled|haproxy-copy|nginx) .*?([\d.]+)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == ["shuttled", "haproxy-copy", "nginx"] * 2, done.stdout
    # The kernel's two sockets alone are more; of those that stall each has buffers that are full.
    idle, stalled = done.stdout.split("connections, stalled")
    own = [float(value.replace(",", "")) for value in re.findall(r"shuttled +([\d,]+) B .*? B .*?([\d,]+) B", idle)[0]]
    assert 0 < own[0] < own[1] and 4_000 < own[1] < 50_000, done.stdout
    assert re.search(r"shuttled .* kB .* kB", stalled), done.stdout
