"""Owns one run of a workload on a proxy and what it cost, and the order in which proxies take turns.

Leaves to others the workloads' list, how a load is made (load), and what the samples mean (figures).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from measuring import accounting, origins, sockets
from measuring.failure import Failure
from measuring.load import CLIENTS, Done, Target
from measuring.origins import Origin
from measuring.peers import Kind, Proxy, Site
from measuring.stage import Stage, end, wait_for_rest
from measuring.workloads import Workload

Sample = dict[str, float]
Samples = dict[str, list[Sample]]
Item = TypeVar("Item")

WARM_UP_SECONDS = 1


def turns(items: Sequence[Item], round_number: int) -> list[Item]:
    """The order of one round: each item comes first, last and after every other one equally often."""
    start = (round_number // 2) % len(items)
    order = [*items[start:], *items[:start]]
    return order if round_number % 2 == 0 else order[::-1]


def measure(
    workload: Workload, kinds: Sequence[Kind], rounds: int, seconds: int, progress: Callable[[str], None],
    warms_up: bool = True,
) -> Samples:
    """Runs every proxy once a round. Those that are not measured stay up, idle, except where memory is counted."""
    samples: Samples = {kind.name: [] for kind in kinds}
    with Stage() as stage:
        origin = origins.start(workload.origin, stage, workload.workers)
        sites = {
            kind.name: Site(f"127.0.1.{number}", workload.services, f"127.0.2.{number}:{origin.port}")
            for number, kind in enumerate(kinds, start=1)
        }
        proxies = {} if workload.idle else {kind.name: kind.start(stage, sites[kind.name]) for kind in kinds}
        for proxy in proxies.values() if warms_up else ():
            _warm_up(proxy, workload)
        for number in range(rounds):
            progress(f"{workload.name}: round {number + 1} of {rounds}")
            for kind in turns(kinds, number):
                # A heap that has grown once does not show what sessions take: memory is counted on a fresh process.
                proxy = proxies.get(kind.name) or kind.start(stage, sites[kind.name])
                if workload.idle:
                    _warm_up(proxy, workload)
                samples[kind.name].append(_sample(proxy, origin, workload, seconds))
                if workload.idle:
                    proxy.stop()
    return samples


def _warm_up(proxy: Proxy, workload: Workload) -> None:
    connections = sockets.connections()
    workload.load.run(Target(proxy.stage, proxy.address, proxy.port, WARM_UP_SECONDS))
    wait_for_rest(connections)


def _sample(proxy: Proxy, origin: Origin, workload: Workload, seconds: int) -> Sample:
    connections = sockets.connections()
    sample: Sample = {}
    with _Holder(proxy, workload.idle) as holder:
        holder.fill(sample)
        at_rest = sockets.connections()
        changes = _Changes(proxy, workload.changes, seconds)
        meter = _Meter(proxy, origin)
        done = workload.load.run(Target(proxy.stage, proxy.address, proxy.port, seconds, changes.due if changes else None))
        wait_for_rest(at_rest)
        meter.read(done, workload, sample)
        changes.read(sample)
    wait_for_rest(connections)
    sample["rate"] = done.rate * workload.unit.rate_scale
    sample.update(done.latencies)
    if done.failed or workload.changes:
        sample["failed"] = done.failed
    return sample


class _Meter:
    """What is used from its creation until it is read, which is when all connections of the load are gone."""

    def __init__(self, proxy: Proxy, origin: Origin) -> None:
        self._proxy = proxy
        self._origin = origin
        proxy.forget_peaks()
        self._resident = proxy.memory().resident
        self._kernel = accounting.kernel_thread_seconds()
        self._origin_seconds = accounting.tree_seconds(origin.process.pid)
        self._proxy_seconds = proxy.cpu_seconds()

    def read(self, done: Done, workload: Workload, sample: Sample) -> None:
        self._proxy.reap()
        proxy = self._proxy.cpu_seconds() - self._proxy_seconds
        origin = accounting.tree_seconds(self._origin.process.pid) - self._origin_seconds
        kernel = accounting.grown_seconds(self._kernel, accounting.kernel_thread_seconds())
        scale = workload.unit.cpu_scale / done.units
        sample["cpu"] = proxy * scale
        sample["machine"] = (proxy + origin + done.client_seconds + kernel) * scale
        sample["memory"] = self._proxy.peak_resident()
        sample["memory_growth"] = self._proxy.peak_resident() - self._resident


class _Holder:
    """A client with idle sessions, in a process of its own."""

    def __init__(self, proxy: Proxy, sessions: int) -> None:
        self._proxy = proxy
        self._sessions = sessions

    def __enter__(self) -> _Holder:
        if self._sessions:
            command = [
                sys.executable, str(CLIENTS / "hold.py"), self._proxy.address, str(self._proxy.port), str(self._sessions)
            ]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._sessions:
            try:
                if kind is None:
                    self._ask("close")
            finally:
                end(self._process)
                for pipe in (self._process.stdin, self._process.stdout):
                    if pipe:
                        pipe.close()

    def fill(self, sample: Sample) -> None:
        """Opens the sessions and counts what they take, in user space: first unused, then after one request each."""
        if self._sessions:
            before = self._proxy.memory()
            self._ask("open")
            sample["session_unused"] = (self._proxy.memory().proportional - before.proportional) / self._sessions
            self._ask("ask")
            after = self._proxy.memory()
            sample["session"] = (after.proportional - before.proportional) / self._sessions
            sample["session_resident"] = (after.resident - before.resident) / self._sessions

    def _ask(self, command: str) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != command:
            raise Failure(f"the client that holds idle sessions of {self._proxy.name} has failed; see its words above")


class _Changes:
    """Changes of the configuration at even intervals during a run."""

    def __init__(self, proxy: Proxy, per_second: float, seconds: int) -> None:
        self._proxy = proxy
        self._interval = 1 / per_second if per_second else 0.0
        self._end = seconds
        self._number = 0
        self._durations: list[float] = []
        self._before = adoptions(proxy.statistics()) if per_second else None

    def __bool__(self) -> bool:
        return self._interval > 0

    def due(self, elapsed: float) -> float:
        """Makes the change whose time has come; says when the next one is."""
        if elapsed > 0:
            began = time.monotonic()
            self._proxy.change(self._number)
            self._durations.append(time.monotonic() - began)
            self._number += 1
        following = (self._number + 0.5) * self._interval
        return max(following, elapsed) if following < self._end else float("inf")

    def read(self, sample: Sample) -> None:
        if not self:
            return
        if not self._durations:
            raise Failure(f"the load on {self._proxy.name} ended before a change was made")
        sample["changes"] = len(self._durations)
        sample["change_ms"] = statistics.median(self._durations) * 1000
        after = adoptions(self._proxy.statistics())
        if after:
            sample["adoptions"] = after["adoptions"] - (self._before or {}).get("adoptions", 0)
            sample["adoption_p999"] = after["p999"]
            sample["adoption_max"] = after["max"]


def adoptions(statistics_of_rings: list[dict[str, Any]] | None) -> dict[str, float] | None:
    """How long rings have spent adopting snapshots, worst ring, in microseconds; None where that is not said."""
    rings = [ring for ring in statistics_of_rings or [] if "adoption_microseconds_p999" in ring]
    if not rings:
        return None
    return {
        "adoptions": sum(ring.get("adoptions", 0) for ring in rings),
        "p999": max(ring["adoption_microseconds_p999"] for ring in rings),
        "max": max(ring.get("adoption_microseconds_max", 0) for ring in rings),
    }
