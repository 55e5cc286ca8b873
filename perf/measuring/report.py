"""Owns what a person reads in the terminal. Leaves the reckoning to figures and goals, the pictures to charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measuring import figures
from measuring.figures import FIGURES, Interval, Sample
from measuring.goals import Judged
from measuring.workloads import Workload

Samples = Mapping[str, Sequence[Sample]]
MEGABYTE = 1e6


def workload(workload: Workload, samples: Samples, ours: str, others: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Figures of each proxy, and the ratios of ours to the best of the others."""
    lines = [f"\n{workload.name}: {workload.title}"]
    lines += table(_absolute(workload, samples))
    reference = figures.best(samples, others)
    if reference:
        lines.append(f"  {ours} / {reference}{', the best of the peers by CPU' if len(others) > 1 else ''}:")
        lines += table(_ratios(samples, ours, reference, others), indent="    ")
    return "\n".join(lines + [f"  {note}" for note in notes])


def _absolute(workload: Workload, samples: Samples) -> list[list[str]]:
    columns = [
        ("cpu", workload.unit.cpu, 1.0), ("rate", workload.unit.rate, 1.0), ("machine", "machine", 1.0),
        ("p50", "p50 µs", 1.0), ("p99", "p99 µs", 1.0), ("p999", "p99.9 µs", 1.0), ("failed", "failed", 1.0),
        ("memory", "MB", MEGABYTE), ("memory_growth", "+MB", MEGABYTE),
        ("session_unused", "B/session unused", 1.0), ("session", "B/session", 1.0),
        ("change_ms", "ms/change", 1.0), ("adoption_p999", "adoption p99.9 µs", 1.0), ("adoption_max", "max µs", 1.0),
    ]
    shown = [column for column in columns if any(column[0] in sample for runs in samples.values() for sample in runs)]
    rows = [["", *(title for _, title, _ in shown)]]
    for name, runs in samples.items():
        medians = [(figures.median(runs, figure), scale) for figure, _, scale in shown]
        rows.append([name, *("-" if value is None else number(value / scale) for value, scale in medians)])
    return rows


def _ratios(samples: Samples, ours: str, reference: str, others: Sequence[str]) -> list[list[str]]:
    rows = []
    for figure in FIGURES:
        found = figures.ratio(samples[ours], samples[reference], figure.name)
        if found is None:
            continue
        row = [figure.title, interval(found)]
        rival = figures.best(samples, others, figure.name)
        if rival and rival != reference:
            against = figures.ratio(samples[ours], samples[rival], figure.name)
            row.append(f"to {rival}, best in this: {interval(against)}" if against else "")
        rows.append(row)
    return rows


def apart(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> str:
    """Ratios of two files of results. What changed on the machine in between is in them too, and cannot be told."""
    lines = [
        "The two were not measured side by side: differences between the runs (other work on the machine, temperature, memory",
        "layout) are in these ratios and not in their intervals. Trust them less than a perf/compare of the two builds.",
    ]
    for side, content in (("old", old), ("new", new)):
        facts = content["facts"]
        lines.append(f"  {side}: {facts['date']}, commit {facts['commit']}, kernel {facts['kernel']}, {facts['cores']} cores")
    for name in names:
        if name not in old["workloads"] or name not in new["workloads"]:
            continue
        ours, theirs = (
            content["workloads"][name]["samples"][content["settings"]["ours"]] for content in (new, old)
        )
        found = {figure: figures.unpaired_ratio(ours, theirs, figure.name) for figure in FIGURES}
        lines.append(f"\n{name}: {new['workloads'][name]['title']}\n  new / old:")
        lines += table([[figure.title, interval(each)] for figure, each in found.items() if each], indent="    ")
    return "\n".join(lines)


def goals(judged: Sequence[Judged]) -> str:
    rows = [["workload", "goal", "measured", "95 % interval", "to", ""]]
    for each in judged:
        measured = each.measured
        digits = 2 if each.goal.is_ratio else 0
        rows.append([
            each.goal.workload, each.goal.text, f"{measured.median:.{digits}f}" if measured else "-",
            f"{measured.low:.{digits}f} to {measured.high:.{digits}f}" if measured else "-", each.peer or "", each.verdict,
        ])
    return "\n".join(["\nGoals (ratio of shuttled to the peer that needs the least CPU)", *table(rows)])


def interval(found: Interval) -> str:
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"


def number(value: float) -> str:
    """Three or four digits that count, without powers of ten."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Columns under each other: the first to the left, the others to the right, but words to the left."""
    count = max(len(row) for row in rows)
    padded = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in padded) for column in range(count)]
    lines = []
    for row in padded:
        cells = [
            cell.rjust(width) if column and _is_number(cell, rows[0][column] if column < len(rows[0]) else "") else
            cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def _is_number(cell: str, headline: str) -> bool:
    return cell == headline or cell == "-" or cell[:1].isdigit()
