#!/usr/bin/env python3
"""Counts the tests in what `swift test` and pytest printed, so that scripts can tell a pass from an empty run.

usage: scripts/lib/test_counts.py FILE...             prints "12 passed, 0 failed, 1 skipped", summed over the files,
                                                      and how many were unsteady (scripts/lib/system_tests.py)
       scripts/lib/test_counts.py --passed FILE...    prints the first number alone
"""

import re
import sys
from collections import Counter

# XCTest prints a line like this for every suite; the outermost suite's comes last.
XCTEST = re.compile(
    r"^\s*Executed (?P<run>\d+) tests?, with (?:(?P<skipped>\d+) tests? skipped and )?(?P<failures>\d+) failures?", re.M
)
XCTEST_FAILED = re.compile(r"^Test Case '([^']+)' failed \(", re.M)
SWIFT_TESTING = re.compile(r"Test run with (?P<run>\d+) tests?(?: in \d+ suites?)? (?P<end>passed|failed)")
SWIFT_TESTING_FAILED = re.compile(r"^\S+ Test (?!run|case)(.+?) (?:with \d+ test cases? )?failed after", re.M)
SWIFT_TESTING_SKIPPED = re.compile(r"^\S+ Test (?!run|case)(.+?) skipped", re.M)
PYTEST = re.compile(r"^(?:=+ )?(?P<counts>\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", re.M)
# All that failed in what pytest has said before, and passed after all.
UNSTEADY = re.compile(r"^system_tests: (?P<count>\d+) unsteady", re.M)


def counts(text):
    total = Counter(passed=0, failed=0, skipped=0, unsteady=0)
    executed = list(XCTEST.finditer(text))
    if executed:
        # "Failures" counts assertions; a test is failed once.
        failed = len(set(XCTEST_FAILED.findall(text)))
        skipped = int(executed[-1]["skipped"] or 0)
        total.update(passed=int(executed[-1]["run"]) - failed - skipped, failed=failed, skipped=skipped)
    for run in SWIFT_TESTING.finditer(text):
        failed = len(SWIFT_TESTING_FAILED.findall(text))
        skipped = len(SWIFT_TESTING_SKIPPED.findall(text))
        total.update(passed=int(run["run"]) - failed - skipped, failed=failed, skipped=skipped)
    for run in PYTEST.finditer(text):
        for part in run["counts"].split(", "):
            number, word = part.split()
            name = {"errors": "failed", "error": "failed"}.get(word, word)
            if name in total:
                total[name] += int(number)
    for found in UNSTEADY.finditer(text):
        total.update(failed=-total["failed"], unsteady=int(found["count"]))
    return total


def main():
    arguments = sys.argv[1:]
    only_passed = arguments[:1] == ["--passed"]
    files = arguments[1:] if only_passed else arguments
    if not files or files[0].startswith("-"):
        sys.exit(__doc__)
    total = Counter(passed=0, failed=0, skipped=0, unsteady=0)
    for name in files:
        with open(name, encoding="utf-8", errors="replace") as file:
            total.update(counts(file.read()))
    if only_passed:
        print(total["passed"])
    else:
        others = "".join(f", {total[name]} {name}" for name in ("skipped", "unsteady") if total[name])
        print(f"{total['passed']} passed, {total['failed']} failed{others}")


if __name__ == "__main__":
    main()
