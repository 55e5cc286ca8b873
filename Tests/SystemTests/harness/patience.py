"""Owns how much longer deadlines are on a machine that is slow as a whole, such as one that is emulated (scripts/machine).

Deadlines are bounds on what must never happen; how fast something is stands in tests of its own, which this does not touch.
"""

from __future__ import annotations

import os

PATIENCE = float(os.environ.get("SHUTTLE_TEST_PATIENCE", "1"))


def patient(seconds: float) -> float:
    return seconds * PATIENCE
