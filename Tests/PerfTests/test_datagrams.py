"""Checks perf/datagrams by a short run: it measures each proxy in each load and prints the ratio."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "perf" / "datagrams"
BINARY = os.environ.get("SHUTTLED", "")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not BINARY, reason="SHUTTLED names no release build")
@pytest.mark.skipif(os.geteuid() != 0, reason="it makes a network namespace")
def test_a_run_prints_both_loads_with_their_ratio() -> None:
    done = run("--shuttled", BINARY, "--rounds", "1")
    assert done.returncode == 0, done.stderr
    for load in ("joined", "asked"):
        assert re.search(rf"^{load}: CPU of the proxy", done.stdout, re.MULTILINE), done.stdout
    ratios = [float(ratio) for ratio in re.findall(r"nginx .* shuttled takes (\d+\.\d+) of it", done.stdout)]
    assert len(ratios) == 2 and 0 < ratios[0] < 1, done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="it makes a network namespace")
def test_a_proxy_that_does_not_answer_is_told() -> None:
    done = run("--shuttled", "/bin/false", "--rounds", "1")
    assert done.returncode != 0 and "shuttled does not answer" in done.stderr
