"""Owns the pictures: one SVG a workload with the CPU that each proxy takes and the ratios with their intervals.

Leaves the reckoning to figures and goals. The drawing library is imported when something is drawn.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measuring import figures
from measuring.figures import FIGURES, Interval, Sample
from measuring.goals import Goal
from measuring.report import number
from measuring.workloads import Workload

Samples = Mapping[str, Sequence[Sample]]

OURS, BEST, OTHER, GOAL = "#0b6e8f", "#5b5b66", "#b9b9c3", "#d1495b"
TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10, 20)
# Ticks nearer to each other than this, as a ratio, would be printed over each other.
SPREAD_OF_TICKS = 10.0


@dataclass(frozen=True)
class Row:
    """A ratio to draw; `goals` are the limits that it should reach. `is_aside`: to a peer that is not the best."""

    label: str
    interval: Interval
    goals: tuple[float, ...] = ()
    is_aside: bool = False


def rows(samples: Samples, ours: str, others: Sequence[str], goals: Sequence[Goal]) -> list[Row]:
    """Every figure beside the peer that needs the least CPU, then the CPU beside each of the others."""
    reference = figures.best(samples, others)
    if reference is None:
        return []
    found = []
    for figure in FIGURES:
        interval = figures.ratio(samples[ours], samples[reference], figure.name)
        if interval:
            limits = tuple(goal.limit for goal in goals if goal.figure == figure.name and goal.is_ratio)
            better = " (more is better)" if figure.more_is_better else ""
            found.append(Row(f"{figure.title}{better}", interval, limits))
    for peer in others:
        interval = figures.ratio(samples[ours], samples[peer], "cpu") if peer != reference else None
        if interval:
            found.append(Row(f"CPU, to {peer}", interval, is_aside=True))
    return found


def draw(
    path: pathlib.Path, workload: Workload, samples: Samples, ours: str, others: Sequence[str], goals: Sequence[Goal],
    caption: str,
) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": workload.name})
    from matplotlib import pyplot

    ratios = rows(samples, ours, others, goals)
    height = 1.9 + 0.3 * max(len(ratios), 2 * len(samples))
    picture, (left, right) = pyplot.subplots(1, 2, figsize=(12.5, height))
    try:
        top, bottom = 1 - 0.85 / height, 0.9 / height
        left.set_position((0.1, bottom, 0.27, top - bottom))
        right.set_position((0.61, bottom, 0.26, top - bottom))
        picture.text(0.015, 1 - 0.32 / height, f"{workload.name}: {workload.title}", fontweight="bold", fontsize=11)
        reference = figures.best(samples, others)
        _draw_costs(left, workload, samples, ours, reference)
        _draw_ratios(right, ratios, f"{ours} / {reference}{', the peer with the least CPU' if len(others) > 1 else ''}")
        picture.text(0.015, 0.12 / height, caption, color=BEST, fontsize=7.5)
        picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    finally:
        pyplot.close(picture)


def _draw_costs(axes: Any, workload: Workload, samples: Samples, ours: str, reference: str | None) -> None:
    """A bar for the median, a dot for each run, the rate beside it."""
    names = list(samples)
    largest = max(sample["cpu"] for runs in samples.values() for sample in runs)
    for place, name in enumerate(names):
        costs = [sample["cpu"] for sample in samples[name]]
        cost, rate = figures.median(samples[name], "cpu") or 0.0, figures.median(samples[name], "rate") or 0.0
        axes.barh(place, cost, height=0.6, color=OURS if name == ours else BEST if name == reference else OTHER)
        axes.plot(costs, [place] * len(costs), "o", markersize=3, markerfacecolor="white", markeredgecolor="black",
                  markeredgewidth=0.5)
        axes.annotate(f"{number(cost)} {workload.unit.cpu}\n{number(rate)} {workload.unit.rate}", (1.03, place),
                      xycoords=("axes fraction", "data"), va="center", fontsize=7.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, largest * 1.02)
    axes.set_xlabel(f"CPU of the proxy, {workload.unit.cpu}: median (bar) and runs (dots)")
    _plain(axes)


def _draw_ratios(axes: Any, ratios: Sequence[Row], title: str) -> None:
    """A dot for the median ratio, a line for its interval, a red tick for a goal."""
    if not ratios:
        axes.set_axis_off()
        return
    values = [1.0] + [each for row in ratios for each in (row.interval.low, row.interval.high, *row.goals)]
    low, high = min(values) / 1.06, max(values) * 1.06
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color="black", linewidth=0.8)
    for place, row in enumerate(ratios):
        interval = row.interval
        color = OTHER if row.is_aside else OURS
        axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=3, solid_capstyle="butt")
        axes.plot(interval.median, place, "o", color=color, markersize=6)
        for goal in row.goals:
            axes.plot([goal, goal], [place - 0.35, place + 0.35], color=GOAL, linewidth=2)
        axes.annotate(f"{interval.median:.2f}  ({interval.low:.2f} to {interval.high:.2f})", (1.04, place),
                      xycoords=("axes fraction", "data"), va="center", fontsize=7.5)
    axes.set_yticks(range(len(ratios)), [row.label for row in ratios])
    axes.set_ylim(len(ratios) - 0.4, -0.6)
    ticks = ticks_within(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    has_goals = any(row.goals for row in ratios)
    axes.set_xlabel(f"ratio: median of the pairs, 95 % interval{'; red: goal' if has_goals else ''}")
    _plain(axes)


def ticks_within(low: float, high: float) -> list[float]:
    """Readable marks of a logarithmic axis, 1 always among them, none printed over another."""
    nearest = (high / low) ** (1 / SPREAD_OF_TICKS)
    chosen = [1.0]
    for tick in sorted(TICKS, key=lambda tick: max(tick, 1 / tick)):
        if low <= tick <= high and all(max(tick / other, other / tick) >= nearest for other in chosen):
            chosen.append(tick)
    return sorted(chosen)


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color="#e6e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
