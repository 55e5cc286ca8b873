#!/usr/bin/env python3
"""Runs the system tests four files at a time, and judges those that fail once more alone.

usage: scripts/lib/system_tests.py FOLDER [ARGUMENT]...    FOLDER has the tests; arguments are pytest's

A thousand tests with deadlines, four at once on a machine that may be busy with something else: now and then one of them
is not given its time, and the whole run would have to be made again for it. So a test that failed is run by itself,
ALONE times. One that fails then too, or more than UNSTEADY_MAX at once, fails the run. What passed alone is named at the
end, with the output of its failure above: it is to be mended, or is the sign of a rare fault, and is never just noise.
"""

import subprocess
import sys

import pytest

ALONE = 3
UNSTEADY_MAX = 3


class Failures:
    """Names the tests that failed, relative to the folder of their settings."""

    def __init__(self):
        self.names = []

    def pytest_runtest_logreport(self, report):
        if report.failed and report.nodeid not in self.names:
            self.names.append(report.nodeid)


def passes_alone(test):
    for count in range(1, ALONE + 1):
        print(f"system_tests: {test} failed beside others; alone, {count} of {ALONE}:", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", test], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != pytest.ExitCode.OK:
            print(done.stdout)
            return False
    return True


def main():
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder, *arguments = sys.argv[1:]
    failures = Failures()
    # Names of tests are relative to the root, which pytest would otherwise choose by what is around.
    status = pytest.main([folder, "--rootdir", folder, "-q", "-n", "4", "--dist", "loadfile", *arguments], plugins=[failures])
    if status != pytest.ExitCode.TESTS_FAILED or not failures.names:
        sys.exit(status)
    if len(failures.names) > UNSTEADY_MAX:
        sys.exit(f"system_tests: {len(failures.names)} tests failed, more than are judged once more")
    if not all([passes_alone(f"{folder}/{name}") for name in failures.names]):
        sys.exit(1)
    print(f"system_tests: {len(failures.names)} unsteady, failed beside others only: {' '.join(failures.names)}")


if __name__ == "__main__":
    main()
