"""Owns what samples mean: medians, ratios of runs that took place side by side, how certain they are, who is best.

Leaves to others how samples come about (measurement) and what is wanted (goals). Pure.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Sample = Mapping[str, float]

DRAWS = 4000
CONFIDENCE = 0.95
SEED = 1


@dataclass(frozen=True)
class Figure:
    """A quantity of a sample. One that is compared shows as a ratio."""

    name: str
    title: str
    is_compared: bool = True
    more_is_better: bool = False


FIGURES = (
    Figure("cpu", "CPU of the proxy"),
    Figure("rate", "rate", more_is_better=True),
    Figure("machine", "CPU of the machine"),
    Figure("p50", "latency p50"),
    Figure("p99", "latency p99"),
    Figure("p999", "latency p99.9"),
    Figure("session", "memory per idle session"),
)


@dataclass(frozen=True)
class Interval:
    """A median and what it lies in with 95 % confidence."""

    median: float
    low: float
    high: float


def bootstrap(values: Sequence[float], statistic: Callable[[Sequence[float]], float] = statistics.median) -> Interval:
    """The interval of a statistic by drawing samples again, with the same seed each time."""
    if not values:
        raise ValueError("no samples")
    generator = random.Random(SEED)
    drawn = sorted(statistic(generator.choices(values, k=len(values))) for _ in range(DRAWS))
    tail = (1 - CONFIDENCE) / 2
    return Interval(statistic(values), drawn[int(DRAWS * tail)], drawn[int(DRAWS * (1 - tail)) - 1])


def median(samples: Sequence[Sample], name: str) -> float | None:
    values = [sample[name] for sample in samples if name in sample]
    return statistics.median(values) if values else None


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], name: str) -> Interval | None:
    """Of each pair that ran in the same round. None where the figure is missing or nothing was there to divide by."""
    pairs = list(zip(ours, theirs, strict=True))
    if not pairs or any(name not in a or name not in b or not b[name] for a, b in pairs):
        return None
    return bootstrap([a[name] / b[name] for a, b in pairs])


def unpaired_ratio(ours: Sequence[Sample], theirs: Sequence[Sample], name: str) -> Interval | None:
    """Of two medians whose samples were not taken side by side: each side is drawn by itself."""
    a = [sample[name] for sample in ours if name in sample]
    b = [sample[name] for sample in theirs if name in sample]
    if not a or not b or not all(b):
        return None
    generator = random.Random(SEED)
    drawn = sorted(
        statistics.median(generator.choices(a, k=len(a))) / statistics.median(generator.choices(b, k=len(b)))
        for _ in range(DRAWS)
    )
    tail = (1 - CONFIDENCE) / 2
    return Interval(
        statistics.median(a) / statistics.median(b), drawn[int(DRAWS * tail)], drawn[int(DRAWS * (1 - tail)) - 1]
    )


def best(samples: Mapping[str, Sequence[Sample]], names: Sequence[str], figure: str = "cpu") -> str | None:
    """Who of the named has the best median. Picking the luckiest of several makes it hard for who is compared with it."""
    more_is_better = next((each.more_is_better for each in FIGURES if each.name == figure), False)
    known = {name: value for name in names if (value := median(samples[name], figure)) is not None}
    if not known:
        return None
    return (max if more_is_better else min)(known, key=lambda name: known[name])
