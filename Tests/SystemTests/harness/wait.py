"""Owns waiting: a condition, a deadline, and what to say when it passes. No test sleeps in the hope that it is enough.

The only sleeps outside this file are those that are part of a scenario ("the backend replies one second later").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.patience import patient

Value = TypeVar("Value")

#: Long enough for a machine that is busy with other things; a test that passes never waits for it.
DEADLINE_SECONDS = patient(20.0)
POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05


def eventually(
    condition: Callable[[], Value],
    what: str | Callable[[], str],
    deadline: float = DEADLINE_SECONDS,
) -> Value:
    """Polls until `condition` returns something true, and returns it.

    A condition that raises AssertionError or OSError counts as "not yet"; what it last returned or raised is in the
    message when the deadline passes. `what` may be a function, so that the message describes the end, not the start.
    """
    # A bound of the caller's own is as far from what is expected as the usual one.
    if deadline != DEADLINE_SECONDS:
        deadline = patient(deadline)
    end = time.monotonic() + deadline
    pause = POLL_SECONDS_MIN
    while True:
        last: object
        try:
            value = condition()
            if value:
                return value
            last = value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= end:
            said = what if isinstance(what, str) else _described(what)
            raise AssertionError(f"not within {deadline} s: {said}; last seen: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, POLL_SECONDS_MAX)


def _described(what: Callable[[], str]) -> str:
    try:
        return what()
    except (AssertionError, OSError) as error:  # asking again failed as the condition did
        return f"(cannot be described: {error!r})"


def throughout(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Polls for the whole time and fails at the first moment at which `condition` is not true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        assert value, f"did not hold: {what}; seen: {value!r}"
        time.sleep(POLL_SECONDS_MIN * 5)


def settled(value: Callable[[], int], what: str, seconds: float = 0.5, deadline: float = 30.0) -> int:
    """Waits until `value` is above 0 and has not changed for some time, and returns it: a flow that is held back."""
    last, since = 0, time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        now = value()
        if now != last:
            last, since = now, time.monotonic()
        return last > 0 and time.monotonic() - since > seconds

    eventually(quiet, lambda: f"{what}: {last} and still changing", deadline)
    return last


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start
