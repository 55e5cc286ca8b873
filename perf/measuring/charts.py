"""Owns the pictures: one SVG a workload with the CPU that each proxy takes and the ratios with their intervals.

Leaves the reckoning to figures and goals. The drawing library is imported when something is drawn.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from measuring import figures
from measuring.figures import FIGURES, Interval, Sample
from measuring.goals import Goal
from measuring.workloads import Workload

Samples = Mapping[str, Sequence[Sample]]

OURS, BEST, OTHER, GOAL = "#0b6e8f", "#5b5b66", "#b9b9c3", "#d1495b"
TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10, 20)
# Ticks nearer to each other than this, as a ratio, would be printed over each other.
SPREAD_OF_TICKS = 13.0


@dataclass(frozen=True)
class Row:
    """A ratio to draw; `goals` are the limits that it should reach."""

    label: str
    interval: Interval
    goals: tuple[float, ...] = ()
    is_main: bool = False


def rows(samples: Samples, ours: str, others: Sequence[str], goals: Sequence[Goal]) -> list[Row]:
    """First the CPU beside each peer, the best of them last; then every other figure beside that one."""
    reference = figures.best(samples, others)
    if reference is None:
        return []
    found = []
    for peer in [*(name for name in others if name != reference), reference]:
        interval = figures.ratio(samples[ours], samples[peer], "cpu")
        if interval:
            is_main = peer == reference
            limits = _limits(goals, "cpu") if is_main else ()
            found.append(Row(f"CPU / {peer}", interval, limits, is_main))
    for figure in FIGURES:
        interval = figures.ratio(samples[ours], samples[reference], figure.name) if figure.name != "cpu" else None
        if interval:
            found.append(Row(f"{figure.title} / {reference}", interval, _limits(goals, figure.name)))
    return found


def _limits(goals: Sequence[Goal], figure: str) -> tuple[float, ...]:
    return tuple(goal.limit for goal in goals if goal.figure == figure and goal.is_ratio)


def draw(
    path: pathlib.Path, workload: Workload, samples: Samples, ours: str, others: Sequence[str], goals: Sequence[Goal],
    caption: str,
) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": workload.name})
    from matplotlib import pyplot

    ratios = rows(samples, ours, others, goals)
    height = 1.7 + 0.36 * max(len(ratios), len(samples) + 2)
    picture, (left, right) = pyplot.subplots(
        1, 2, figsize=(11.5, height), gridspec_kw={"width_ratios": [1, 1.15], "wspace": 0.62}
    )
    try:
        picture.suptitle(f"{workload.name}: {workload.title}", x=0.02, ha="left", fontweight="bold")
        _draw_costs(left, workload, samples, ours, figures.best(samples, others))
        _draw_ratios(right, ratios, ours)
        picture.text(0.02, 0.01, caption, color=BEST, fontsize=7.5)
        picture.subplots_adjust(left=0.11, right=0.9, top=1 - 0.75 / height, bottom=0.75 / height)
        picture.savefig(path, metadata={"Date": None})
    finally:
        pyplot.close(picture)


def _draw_costs(axes: object, workload: Workload, samples: Samples, ours: str, reference: str | None) -> None:
    """A bar for the median, a dot for each run, the rate beside it."""
    names = list(samples)
    largest = max(sample["cpu"] for runs in samples.values() for sample in runs)
    for place, name in enumerate(names):
        costs = [sample["cpu"] for sample in samples[name]]
        cost, rate = figures.median(samples[name], "cpu") or 0.0, figures.median(samples[name], "rate") or 0.0
        axes.barh(place, cost, height=0.62, color=OURS if name == ours else BEST if name == reference else OTHER)
        axes.plot(costs, [place] * len(costs), "o", markersize=3, markerfacecolor="white", markeredgecolor="black",
                  markeredgewidth=0.5)
        axes.text(largest * 1.04, place, f"{cost:,.4g}\n{rate:,.4g} {workload.unit.rate}" if rate < 1000 else
                  f"{cost:,.4g}\n{rate:,.0f} {workload.unit.rate}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, largest * 1.02)
    axes.set_xlabel(f"CPU of the proxy, {workload.unit.cpu}: median and runs")
    _plain(axes)


def _draw_ratios(axes: object, ratios: Sequence[Row], ours: str) -> None:
    """A dot for the median ratio, a line for its interval, a red tick for a goal."""
    if not ratios:
        axes.set_axis_off()
        return
    values = [1.0] + [each for row in ratios for each in (row.interval.low, row.interval.high, *row.goals)]
    low, high = min(values) / 1.06, max(values) * 1.06
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color="black", linewidth=0.8)
    for place, row in enumerate(ratios):
        interval = row.interval
        color = OURS if row.is_main or not row.label.startswith("CPU /") else OTHER
        axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=3, solid_capstyle="butt")
        axes.plot(interval.median, place, "o", color=color, markersize=6)
        for goal in row.goals:
            axes.plot([goal, goal], [place - 0.35, place + 0.35], color=GOAL, linewidth=2)
        axes.annotate(f"{interval.median:.2f}  ({interval.low:.2f} to {interval.high:.2f})", (1.02, place),
                      xycoords=("axes fraction", "data"), va="center", fontsize=7.5,
                      fontweight="bold" if row.is_main else "normal")
    axes.set_yticks(range(len(ratios)), [row.label for row in ratios])
    axes.set_ylim(len(ratios) - 0.4, -0.6)
    ticks = ticks_within(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    has_goals = any(row.goals for row in ratios)
    axes.set_xlabel(f"ratio of {ours}, 95 % interval{'; red: goal' if has_goals else ''}")
    _plain(axes)


def ticks_within(low: float, high: float) -> list[float]:
    """Readable marks of a logarithmic axis, 1 always among them, none printed over another."""
    nearest = (high / low) ** (1 / SPREAD_OF_TICKS)
    chosen = [1.0]
    for tick in sorted(TICKS, key=lambda tick: max(tick, 1 / tick)):
        if low <= tick <= high and all(max(tick / other, other / tick) >= nearest for other in chosen):
            chosen.append(tick)
    return sorted(chosen)


def _plain(axes: object) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color="#e6e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
