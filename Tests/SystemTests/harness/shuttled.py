"""Owns one running shuttled: its files in a folder of its own, start until ready, log, stop, and what it holds.

Leaves to `stage.py` which instances a test has, and to `admin.py` the requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .admin import Admin
from .ports import free_address
from .process import Census, ProcessView, end, spawn
from .wait import eventually

from harness.patience import patient

ROOT = Path(__file__).resolve().parents[3]
READY_SECONDS = patient(15.0)
STOP_SECONDS = patient(15.0)
#: 64 pipes with two ends each.
PIPE_DESCRIPTORS_PER_RING = 128
#: Sessions that a test leaves open are cut after this time at the latest when it stops its shuttled.
DRAIN_TIMEOUT_MILLISECONDS = 3000


def binary() -> Path:
    """The program under test: $SHUTTLED, else the release build, else the debug build."""
    given = os.environ.get("SHUTTLED")
    candidates = (
        [Path(given).absolute()] if given else [ROOT / ".build" / kind / "shuttled" for kind in ("release", "debug")]
    )
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"no shuttled at {' or '.join(map(str, candidates))}: "
        "build it with `swift build -c release`, or name it in SHUTTLED"
    )


class NotReady(AssertionError):
    """shuttled ended, or was not ready in time."""


class Shuttled:
    """A shuttled process. Files are `config.json`, `state.json` and `shuttled.log` in its folder."""

    def __init__(
        self,
        directory: Path,
        services: Any = None,
        *,
        rings: int | None = 2,
        state: bool | Path = False,
        http: str | None = None,
        drain_timeout: int | None = DRAIN_TIMEOUT_MILLISECONDS,
        arguments: Iterable[str] = (),
        program: Path | None = None,
        **spawning: Any,
    ) -> None:
        """`services` becomes the -config file (None: no such flag). `state` True puts the state into the folder."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config_path = directory / "config.json"
        self.state_path = state if isinstance(state, Path) else directory / "state.json"
        self.log_path = directory / "shuttled.log"
        self.http = http or free_address()
        self.admin = Admin(self.http)
        self.process: subprocess.Popen[bytes] | None = None
        self._spawning = spawning
        self._end_was_expected = False
        self._pipes_max = PIPE_DESCRIPTORS_PER_RING * (rings or os.cpu_count() or 1)
        self._baseline: Census | None = None
        self._services_at_baseline = 0

        self.command: list[str] = [str(program or binary()), "-http", self.http]
        if services is not None:
            self.write_config(services)
            self.command += ["-config", str(self.config_path)]
        if state:
            self.command += ["-state", str(self.state_path)]
        if rings is not None:
            self.command += ["-rings", str(rings)]
        if drain_timeout is not None:
            self.command += ["-drain-timeout", str(drain_timeout)]
        self.command += arguments

    def write_config(self, services: Any) -> None:
        self.config_path.write_text(services if isinstance(services, str) else json.dumps(services, indent=2))

    # Life

    def launch(self) -> None:
        """Starts the process and does not wait for it."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        self._end_was_expected = False
        self.process = spawn(self.command, log=self.log_path, cwd=self.directory, **self._spawning)

    def start(self) -> Shuttled:
        """Starts the process and waits until /readyz is 200."""
        self.launch()
        self.wait_ready()
        self._take_baseline()
        return self

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotReady(f"ended with {self.process.returncode} before it was ready:\n{self.log_tail()}")
            try:
                response = self.admin.get("/readyz")
                if response.status == 200:
                    return
                last = response
            except OSError as error:
                last = error
            time.sleep(0.005)
        raise NotReady(f"not ready within {seconds} s, last seen {last!r}:\n{self.log_tail()}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Whatever happens meanwhile, it finds all at once when it goes on."""
        assert self.process is not None
        view = ProcessView(self.process.pid)
        self.signal(signal.SIGSTOP)
        try:
            eventually(lambda: view.is_stopped, "shuttled has stopped")
            yield
        finally:
            self.signal(signal.SIGCONT)

    def exit_code(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for the process to end by itself."""
        assert self.process is not None
        self._end_was_expected = True
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s:\n{self.log_tail()}") from None

    def stop(self) -> None:
        """Asks it to end; it must do so cleanly."""
        self.signal(signal.SIGTERM)
        code = self.exit_code()
        assert code == 0, f"SIGTERM must end in exit code 0, not {code}:\n{self.log_tail()}"

    def kill(self) -> None:
        self._end_was_expected = True
        if self.process is not None:
            end(self.process)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def check_end(self) -> None:
        """A process that ended although no test asked it to has crashed."""
        if self.process is not None and not self.is_running and not self._end_was_expected:
            raise AssertionError(f"ended by itself with {self.process.returncode}:\n{self.log_tail()}")

    def run(self, seconds: float = STOP_SECONDS) -> tuple[int, str]:
        """Starts it and waits for its end, for runs that are expected to end at once: exit code and what it said."""
        before = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.launch()
        try:
            code = self.exit_code(seconds)
        finally:
            self.kill()
        return code, self.log_text()[before:]

    # What it says and holds

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:]) or "(it said nothing)"

    @property
    def view(self) -> ProcessView:
        assert self.process is not None
        return ProcessView(self.process.pid)

    def active(self) -> dict[str, int]:
        """Every gauge that is not zero, by `service` or `service/backend`."""
        gauges = {}
        for service in self.admin.services():
            gauges[service["name"]] = service["active"]
            gauges[f"{service['name']}, queued"] = service["queued"]
            for backend in service["backends"]:
                gauges[f"{service['name']}/{backend['name']}"] = backend["active"]
        return {name: value for name, value in gauges.items() if value != 0}

    def wait_idle(self, deadline: float = 10.0) -> None:
        """Waits until every `active` and `queued` is 0."""
        eventually(lambda: not self.active(), lambda: f"every `active` and `queued` falls to 0, but {self.active()}", deadline)

    @property
    def is_measured(self) -> bool:
        """Whether it is known what this process held before the traffic."""
        return self._baseline is not None

    def _take_baseline(self) -> None:
        # The lowest of a few looks: a health check or our own admin request may have a descriptor open in one of them.
        self._services_at_baseline = self._listening_services()
        looks = []
        for _ in range(3):
            looks.append(self.view.census())
            time.sleep(0.005)
        self._baseline = min(looks, key=lambda census: census.others)

    def _listening_services(self) -> int:
        return sum(entry.get("network", "tcp") == "tcp" and entry["address"] != "" for entry in self.admin.config())

    def check_leaks(self, deadline: float = 10.0) -> None:
        """No session and no descriptor remains of the traffic: gauges at 0, descriptors as after the start.

        Listening sockets are counted apart: there is one for each TCP service that is no pool, and what the admin endpoint had.
        """
        assert self._baseline is not None, "was not started by start()"
        baseline = self._baseline
        self.wait_idle(deadline)
        listening = baseline.listening - self._services_at_baseline + self._listening_services()

        def settled() -> bool:
            now = self.view.census()
            pipes_are_bounded = now.pipes <= baseline.pipes + self._pipes_max
            return now.others <= baseline.others and now.listening == listening and pipes_are_bounded

        eventually(
            settled,
            lambda: (
                f"descriptors return to {listening} listening and {baseline.others} others;"
                f"\nat the start: {baseline}\nnow: {self.view.census()}"
            ),
            deadline,
        )


def service(name: str, address: str, backends: Sequence[dict[str, Any]] = (), **fields: Any) -> dict[str, Any]:
    """A service's configuration; checks are off unless asked for, since most tests are about something else."""
    return {"name": name, "address": address, "backends": list(backends), "check_interval": 0, **fields}


def backend(name: str, address: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "address": address, **fields}
