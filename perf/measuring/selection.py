"""Owns turning names from the command line into workloads and peers, and saying what is wrong with those it knows not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from measuring.failure import Failure
from measuring.peers import PEERS, Kind
from measuring.workloads import WORKLOADS, Workload


def workloads(names: Sequence[str], quick: bool = False) -> list[Workload]:
    """Those named, in the list's order; without names all, or those that belong to a quick run."""
    chosen = set(_known("workload", names, [each.name for each in WORKLOADS]))
    return [each for each in WORKLOADS if (each.name in chosen if names else each.quick or not quick)]


def peers(names: Sequence[str]) -> list[Kind]:
    chosen = set(_known("peer", names, [each.name for each in PEERS]))
    return [each for each in PEERS if not names or each.name in chosen]


def environment(option: str, assignments: Iterable[str]) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name:
            raise Failure(f"{option} needs NAME=VALUE, not '{assignment}'")
        found[name] = value
    return found


def _known(what: str, names: Sequence[str], all_names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in all_names:
            near = difflib.get_close_matches(name, all_names, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise Failure(f"unknown {what} '{name}': {hint}one of {', '.join(all_names)}")
    return names


def listing() -> str:
    lines = ["workloads:"]
    lines += [f"  {each.name:20} {each.title}{' (also in --quick)' if each.quick else ''}" for each in WORKLOADS]
    lines += ["peers:"]
    lines += [f"  {each.name:20} {each.description}" for each in PEERS]
    return "\n".join(lines)
