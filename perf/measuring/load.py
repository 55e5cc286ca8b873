"""Owns the clients: how each is run against a proxy, and what it printed turned into work done, rate and latencies.

Leaves to others which load belongs to which workload (workloads) and what it cost the proxy (measurement).
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from measuring.failure import Failure
from measuring.origins import GREETING_BYTES
from measuring.programs import program
from measuring.stage import Stage

CLIENTS = pathlib.Path(__file__).parent / "clients"
# A client that hangs is given up so long after it should have ended.
GRACE_SECONDS = 30.0
LATENCIES = ("p50", "p99", "p999")

Meanwhile = Callable[[float], float]


@dataclass(frozen=True)
class Done:
    """Work that was done: bytes, requests or connections, how many a second, and latencies in microseconds."""

    units: float
    rate: float
    failed: int = 0
    latencies: dict[str, float] = field(default_factory=dict)
    client_seconds: float = 0.0


@dataclass(frozen=True)
class Target:
    """What a client is pointed at, and for how long."""

    stage: Stage
    address: str
    port: int
    seconds: int
    meanwhile: Meanwhile | None = None


@dataclass(frozen=True)
class Bulk:
    """iperf3: as many bytes as go through."""

    streams: int
    both_ways: bool = False

    def run(self, target: Target) -> Done:
        command = [
            program("iperf3"), "-c", target.address, "-p", str(target.port), "-t", str(target.seconds),
            "-P", str(self.streams), "-J",
        ] + (["--bidir"] if self.both_ways else [])
        finished = target.stage.run(command, target.seconds + GRACE_SECONDS, target.meanwhile)
        return parse_iperf(finished.output, finished.cpu_seconds)


@dataclass(frozen=True)
class Requests:
    """wrk: requests one after the other on each of its connections, or each on a connection of its own."""

    connections: int
    answer_bytes: int
    keep_alive: bool = True
    may_fail: bool = False
    threads: int = 1

    def run(self, target: Target) -> Done:
        command = [
            program("wrk"), f"-t{self.threads}", f"-c{self.connections}", f"-d{target.seconds}s", "--timeout", "10s",
            "-s", str(CLIENTS / "wrk.lua"),
        ] + ([] if self.keep_alive else ["-H", "Connection: close"])
        command.append(f"http://{target.address}:{target.port}/{self.answer_bytes}")
        finished = target.stage.run(command, target.seconds + GRACE_SECONDS, target.meanwhile)
        done = parse_wrk(finished.output, finished.cpu_seconds)
        if done.failed and not self.may_fail:
            raise Failure(f"wrk saw errors:\n{finished.output}")
        return done


@dataclass(frozen=True)
class Greetings:
    """Connects, one at a time, to a server that speaks first."""

    def run(self, target: Target) -> Done:
        command = [
            sys.executable, str(CLIENTS / "listen_first.py"), target.address, str(target.port), str(GREETING_BYTES),
            str(target.seconds),
        ]
        finished = target.stage.run(command, target.seconds + GRACE_SECONDS, target.meanwhile)
        return parse_greetings(finished.output, finished.cpu_seconds)


Load = Bulk | Requests | Greetings


def parse_iperf(text: str, client_seconds: float = 0.0) -> Done:
    """Bytes as received; of both directions where there are two."""
    try:
        result = json.loads(text)
    except ValueError:
        raise Failure(f"iperf3 printed no JSON: {text[:500]!r}") from None
    if "error" in result:
        raise Failure(f"iperf3: {result['error']}")
    sums = [
        result["end"][name] for name in ("sum_received", "sum_received_bidir_reverse") if name in result["end"]
    ]
    units = sum(each["bytes"] for each in sums)
    if not units:
        raise Failure("iperf3 transferred nothing")
    return Done(units, sum(each["bits_per_second"] for each in sums), client_seconds=client_seconds)


def parse_wrk(text: str, client_seconds: float = 0.0) -> Done:
    line = next((line for line in text.splitlines() if line.startswith("wrk: ")), None)
    if line is None:
        raise Failure(f"wrk printed no summary: {text[-500:]!r}")
    result = json.loads(line.removeprefix("wrk: "))
    if not result["requests"]:
        raise Failure(f"wrk finished no request:\n{text[-500:]}")
    return Done(
        result["requests"], result["requests"] / (result["microseconds"] / 1e6), sum(result["errors"].values()),
        {name: float(result[name]) for name in (*LATENCIES, "max")}, client_seconds,
    )


def parse_greetings(text: str, client_seconds: float = 0.0) -> Done:
    try:
        result = json.loads(text)
    except ValueError:
        raise Failure(f"the client of the greeting origin printed no JSON: {text[-500:]!r}") from None
    return Done(
        result["connections"], result["connections"] / result["seconds"],
        latencies={name: result[name] for name in LATENCIES}, client_seconds=client_seconds,
    )
