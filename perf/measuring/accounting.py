"""Owns what a tree of processes has used: CPU time and memory, as the kernel counts them.

Leaves to others when to look. CPU time is the scheduler's (nanoseconds, not ticks) and includes threads that have ended.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import time
from dataclasses import dataclass

KERNEL_THREADS = 2  # the parent of all kernel threads
TICKS = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        pids += children(parent)
    return pids


def innermost_pid(pid: int) -> int:
    """The number by which a process in a PID namespace knows itself."""
    found = re.search(r"^NSpid:.*\s(\d+)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"/proc/{pid}/status has no NSpid")
    return int(found[1])


def process_seconds(pid: int) -> float:
    """The process's CPU clock, as clock_getcpuclockid(3) names it: all threads, also those that have ended."""
    clock = (~pid << 3) | 2
    try:
        return time.clock_gettime_ns(clock) / 1e9
    except OSError:
        return 0.0


def ended_children_seconds(pid: int) -> float:
    """CPU time of children that have ended and been waited for; the kernel prints it in ticks of 10 ms."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def tree_seconds(root: int) -> float:
    return sum(process_seconds(pid) + ended_children_seconds(pid) for pid in tree(root))


def kernel_thread_seconds() -> dict[int, float]:
    """Of each kernel thread (ksoftirqd, kworker): they work off what proxies cause. Empty where they cannot be seen."""
    try:
        if pathlib.Path(f"/proc/{KERNEL_THREADS}/comm").read_text().strip() != "kthreadd":
            return {}
    except OSError:
        return {}
    return {pid: process_seconds(pid) for pid in children(KERNEL_THREADS)}


def grown_seconds(before: dict[int, float], after: dict[int, float]) -> float:
    """What threads have used in between; one that has ended meanwhile is not counted."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


@dataclass(frozen=True)
class Memory:
    """Bytes in memory. Proportional: pages shared with other processes are divided among them."""

    resident: int
    proportional: int


def memory(root: int) -> Memory:
    resident = proportional = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            resident += _kilobytes(text, "Rss") * 1024
            proportional += _kilobytes(text, "Pss") * 1024
    return Memory(resident, proportional)


def forget_peaks(root: int) -> None:
    """Sets the peak of resident memory to what is resident now."""
    for pid in tree(root):
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_resident(root: int) -> int:
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += _kilobytes(pathlib.Path(f"/proc/{pid}/status").read_text(), "VmHWM") * 1024
    return total


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
