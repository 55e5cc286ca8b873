"""Owns the list of workloads: what each does to a proxy, and in which units it is counted.

Leaves to others how it is carried out (load, measurement) and what it should cost (goals).
"""

from __future__ import annotations

from dataclasses import dataclass

from measuring import origins
from measuring.load import Bulk, Greetings, Load, Requests

SERVICES = 1000
IDLE_SESSIONS = 5000


@dataclass(frozen=True)
class Unit:
    """What work is counted in: the CPU time of one, and how many a second."""

    cpu: str
    cpu_scale: float  # from seconds per byte, request or connection
    rate: str
    rate_scale: float


BYTES = Unit("ms/GB", 1e12, "Gbit/s", 1e-9)
REQUESTS = Unit("µs/request", 1e6, "requests/s", 1)
CONNECTIONS = Unit("µs/connection", 1e6, "connections/s", 1)


@dataclass(frozen=True)
class Workload:
    """`idle` sessions are held open besides; `changes` a second are made during the load; `workers` serve at the origin."""

    name: str
    title: str
    unit: Unit
    origin: origins.Kind
    load: Load
    services: int = 1
    idle: int = 0
    changes: float = 0.0
    workers: int = 1
    quick: bool = False


def _requests(connections: int, size: int, suffix: str, quick: bool) -> Workload:
    return Workload(
        f"keep-alive-{connections}{suffix}",
        f"request/response, {connections} connection{'s' if connections > 1 else ''}, answers of {size} bytes",
        REQUESTS, "http", Requests(connections, size), quick=quick,
    )


WORKLOADS = (
    Workload("bulk-1", "bulk, 1 stream", BYTES, "bulk", Bulk(1), quick=True),
    Workload("bulk-8", "bulk, 8 streams", BYTES, "bulk", Bulk(8), quick=True),
    Workload("bulk-duplex", "bulk, 1 stream each way at once", BYTES, "bulk", Bulk(1, both_ways=True)),
    *(
        _requests(connections, size, suffix, quick=size == 100)
        for size, suffix in ((100, ""), (4096, "-4k"), (65536, "-64k"))
        for connections in (1, 50, 500)
    ),
    Workload(
        "churn", "50 connections at a time, each for one request", CONNECTIONS, "http",
        Requests(50, 100, keep_alive=False), quick=True,
    ),
    Workload(
        "idle-5000", f"{IDLE_SESSIONS} idle sessions beside 50 active ones", REQUESTS, "http", Requests(50, 100),
        idle=IDLE_SESSIONS, quick=True,
    ),
    Workload(
        "server-first", "connections to a server that speaks first, one at a time", CONNECTIONS, "greeting", Greetings()
    ),
    Workload(
        "services-1000", f"50 connections to one of {SERVICES} listeners", REQUESTS, "http", Requests(50, 100),
        services=SERVICES,
    ),
    Workload(
        "change", f"one of {SERVICES} services changes, twice a second, beside 50 connections", REQUESTS, "http",
        Requests(50, 100, may_fail=True), services=SERVICES, changes=2.0, quick=True,
    ),
)
