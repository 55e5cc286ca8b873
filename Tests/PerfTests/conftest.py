"""Lets the tests of perf/ find what they test.

    python3 -m pytest Tests/PerfTests

The tests of a whole run need root, what `scripts/setup perf` installs, and a program under test in $SHUTTLED.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "perf"))
