"""Owns what `/v1/rings` says of how long rings were busy with adopting snapshots: between two looks, and quantiles of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from measuring.failure import Failure


class Durations:
    """Counts by the longest nanoseconds that a bucket of shuttled's histogram holds; a bucket is an eighth wide at most."""

    def __init__(self, counts: Counter[int]) -> None:
        self._counts = counts

    @staticmethod
    def of(rings: Any) -> Durations:
        """Of all rings together."""
        counts: Counter[int] = Counter()
        try:
            for ring in rings:
                said = {int(entry["nanoseconds_max"]): int(entry["count"]) for entry in ring["adoption_durations"]}
                if sum(said.values()) != ring["adoptions"]:
                    raise Failure(f"ring {ring['ring']} counts {ring['adoptions']} adoptions, its histogram {said}")
                counts.update(said)
        except (KeyError, TypeError, ValueError) as error:
            raise Failure(
                f"this shuttled does not say at /v1/rings how long adoptions took ({error!r}): take a newer build"
            ) from None
        return Durations(counts)

    def since(self, before: Durations) -> Durations:
        """What was counted after `before`."""
        grown = {bucket: self._counts[bucket] - before._counts[bucket] for bucket in {*self._counts, *before._counts}}
        if any(count < 0 for count in grown.values()):
            raise Failure("fewer adoptions are counted than before: shuttled was started anew between the two looks")
        return Durations(Counter({bucket: count for bucket, count in grown.items() if count}))

    def plus(self, other: Durations) -> Durations:
        return Durations(self._counts + other._counts)

    @property
    def count(self) -> int:
        return self._counts.total()

    def microseconds(self, per_mille: int) -> float:
        """What so many of 1,000 did not exceed; with fewer than 1,000, 999 is the longest."""
        if not 0 < per_mille <= 1000:
            raise ValueError(f"{per_mille} of 1,000")
        rank = -(-self.count * per_mille // 1000)
        seen = 0
        for bucket, count in sorted(self._counts.items()):
            seen += count
            if seen >= rank > 0:
                return bucket / 1000
        raise Failure("nothing was adopted, so there is nothing to say how long it took")
