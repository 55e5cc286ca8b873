"""perf/run as a program: it measures in a namespace, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 60


@pytest.fixture
def command(tmp_path: Path) -> Iterator[list[str]]:
    """A run of one workload beside one peer; skipped where it cannot work, with the reason."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    shuttled = os.environ.get("SHUTTLED")
    if not shuttled:
        pytest.skip("SHUTTLED names no program: scripts/test does it after the release build")
    done = subprocess.run([REPOSITORY / "scripts" / "setup", "--dry-run", "perf"], capture_output=True, text=True, check=False)
    if "would install" in done.stderr:
        pytest.skip(f"{done.stderr.strip().splitlines()[-1]}; run scripts/setup perf")
    allowed = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    if allowed.returncode != 0:
        pytest.skip(f"no namespaces here: {allowed.stderr.strip()}")
    yield [
        str(REPOSITORY / "perf" / "run"), "--shuttled", shuttled, "--workload", "keep-alive-1", "--peer", "nginx",
        "--pairs", "1", "--output", str(tmp_path / "results"),
    ]


def test_one_workload_is_measured_beside_one_peer(command: list[str], tmp_path: Path) -> None:
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    before = allowed.read_text()
    done = subprocess.run([*command, "--seconds", "1"], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "shuttled / nginx:" in done.stdout and "CPU of the proxy" in done.stdout
    assert "Goals" in done.stdout and "rate ≥ 1" in done.stdout
    content = json.loads((tmp_path / "results" / "results.json").read_text())
    assert content["facts"]["congestion_control"] == "cubic"
    for proxy in ("shuttled", "nginx"):
        (sample,) = content["workloads"]["keep-alive-1"]["samples"][proxy]
        # One request at a time on one connection cannot take the proxy more than the whole time, nor nothing.
        assert 0 < sample["cpu"] < 1e6 / sample["rate"] * os.cpu_count()
        assert sample["machine"] > sample["cpu"]
        assert 0 < sample["p50"] <= sample["p99"] <= sample["p999"]
    assert (tmp_path / "results" / "keep-alive-1.svg").read_text().startswith("<?xml")
    assert allowed.read_text() == before


def test_everything_on_is_measured_against_everything_off(command: list[str], tmp_path: Path) -> None:
    start = command[: command.index("--peer")]
    start[0] = str(REPOSITORY / "perf" / "observation")
    end = ["--pairs", "1", "--seconds", "2", "--no-charts", "--output", str(tmp_path / "results")]
    done = subprocess.run([*start, *end], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "on / off:" in done.stdout, done.stdout
    content = json.loads((tmp_path / "results" / "results.json").read_text())
    for name in ("on", "off"):
        (sample,) = content["workloads"]["keep-alive-1"]["samples"][name]
        assert sample["cpu"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_when_it_is_interrupted(command: list[str], tmp_path: Path, number: signal.Signals) -> None:
    own = os.readlink("/proc/self/ns/net")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with open(tmp_path / "output", "w+", encoding="utf-8") as output:
        run = subprocess.Popen([*command, "--seconds", "30"], stdout=output, stderr=output, env=environment)
        try:
            space = own
            deadline = time.monotonic() + SECONDS
            while space == own or not any(b"wrk\0" in line for line in command_lines(space)):
                assert run.poll() is None and time.monotonic() < deadline, (tmp_path / "output").read_text()
                space = network(run.pid) or own
                time.sleep(0.05)
            run.send_signal(number)
            run.wait(SECONDS)
            deadline = time.monotonic() + 10
            while command_lines(space):
                assert time.monotonic() < deadline, command_lines(space)
                time.sleep(0.05)
        finally:
            run.kill()
            run.wait()
    if number != signal.SIGKILL:
        assert run.returncode == 130
        assert "perf: interrupted" in (tmp_path / "output").read_text()
        assert not list(tmp_path.glob("shuttle-perf-*"))


def network(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def command_lines(space: str) -> list[bytes]:
    """Of all processes in a network namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and network(int(entry.name)) == space:
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found
