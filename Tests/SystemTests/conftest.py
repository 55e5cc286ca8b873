"""Fixtures of the system tests, a time limit for each test, and the logs of shuttled when one fails.

    python3 -m pytest Tests/SystemTests

$SHUTTLED names the program under test; without it the release build is taken, else the debug build.
"""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.patience import patient  # noqa: E402 - the path comes first
from harness.peers import Named  # noqa: E402
from harness.ports import free_address  # noqa: E402
from harness.shuttled import Shuttled, backend, binary, service  # noqa: E402
from harness.stage import Stage  # noqa: E402
from harness.unchanged import Unchanged  # noqa: E402

TEST_SECONDS = 60


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"time_limit(seconds): the longest a test may take, {TEST_SECONDS} s unless said"
    )
    # Clients and peers are in this process: a thousand sessions are some thousand descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_report_header() -> str:
    try:
        return f"program under test: {binary()}"
    except FileNotFoundError as error:
        return str(error)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    stage: Stage | None = getattr(item, "funcargs", {}).get("stage")
    if report.failed:
        item.has_failed = True  # type: ignore[attr-defined]
        for instance in stage.instances if stage is not None else ():
            report.sections.append((f"{' '.join(instance.command)}\nlog in {instance.log_path}", instance.log_tail()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs fails, with the stacks of all threads in its output, and is cleaned up like any other."""
    marker = item.get_closest_marker("time_limit")
    # Stays above the deadlines of `eventually`: those say what did not happen.
    seconds = round(patient(marker.args[0] if marker else TEST_SECONDS))

    def too_long(*_: Any) -> None:
        faulthandler.dump_traceback(file=sys.__stderr__)
        pytest.fail(f"the test took longer than {seconds} s")  # not an AssertionError: waiting helpers retry those

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A place to put up shuttled and its peers; at the end it looks for leaks and takes everything down.

    Its folder has a short path, because the path of a unix socket may not be long; it stays after a failure.
    """
    stage = Stage(Path(tempfile.mkdtemp(prefix="shuttle-")))
    yield stage
    stage.close(failed=getattr(request.node, "has_failed", False))


# For tests of what is refused: something is there already, and must stay as it is.


@pytest.fixture
def base(stage: Stage) -> dict[str, Any]:
    """The service that is there before the refused request, and must be there, unchanged and serving, after it."""
    one = stage.add(Named("one"))
    return service("base", free_address(), [backend("one", one.address)], fall=7)


@pytest.fixture
def serving(stage: Stage, base: dict[str, Any]) -> Shuttled:
    return stage.shuttled([base], state=True)


@pytest.fixture
def unchanged(stage: Stage, serving: Shuttled) -> Unchanged:
    return Unchanged(stage, serving)
