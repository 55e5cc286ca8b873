"""Owns how shuttled scales over rings: which counts this machine can show, with which load, and what is printed.

Leaves the measuring to measurement. The rings need cores of their own beside the client and the origin; half of the
machine is theirs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence

from measuring import figures, measurement, peers
from measuring.figures import Sample
from measuring.load import Requests
from measuring.report import interval, number, table
from measuring.workloads import REQUESTS, Workload

CONNECTIONS = 500
CORES_MIN = 4


def ring_counts(cores: int) -> list[int]:
    """1, 2, 4, … up to half of the cores; only 1 where that leaves nothing to compare."""
    counts = [1]
    while counts[-1] * 2 <= cores // 2:
        counts.append(counts[-1] * 2)
    return counts


def refusal(cores: int) -> str | None:
    """Why scaling cannot be shown here; None where it can."""
    if len(ring_counts(cores)) > 1:
        return None
    return (
        f"scaling over rings: not measured, because this machine has {cores} core{'s' if cores != 1 else ''}. "
        f"It takes {CORES_MIN} or more, of which half are left to client and origin"
    )


def workload(threads: int) -> Workload:
    """The client and the origin have as many threads as there are rings at most, whatever the count that is measured."""
    return Workload(
        "scaling", f"rings: request/response, {CONNECTIONS} connections, answers of 100 bytes", REQUESTS, "http",
        Requests(CONNECTIONS, 100, threads=threads), workers=threads,
    )


def measure(
    binary: pathlib.Path, cores: int, rounds: int, seconds: int, progress: Callable[[str], None]
) -> measurement.Samples:
    counts = ring_counts(cores)
    kinds = [peers.shuttled(binary, name(count), rings=count) for count in counts]
    return measurement.measure(workload(counts[-1]), kinds, rounds, seconds, progress)


def name(count: int) -> str:
    return f"rings-{count}"


def report(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Each count of rings beside one ring."""
    rows = [["", REQUESTS.rate, REQUESTS.cpu, "rate / one ring", "CPU / one ring"]]
    for each, runs in samples.items():
        ratios = [figures.ratio(runs, samples[name(1)], figure) for figure in ("rate", "cpu")]
        rows.append([
            each, number(figures.median(runs, "rate") or 0.0), number(figures.median(runs, "cpu") or 0.0),
            *("-" if found is None else interval(found) for found in ratios),
        ])
    return "\n".join([f"\nscaling over {workload(1).title}", *table(rows)])
