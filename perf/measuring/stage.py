"""Owns the programs of a measurement: starting them, knowing when they are ready or at rest, and ending them.

Leaves to others which programs (origins, peers) and what they are asked to do (load).
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from measuring import sockets
from measuring.failure import Failure

READY_SECONDS = 20.0
REST_SECONDS = 20.0
LOG_TAIL = 2000


@dataclass(frozen=True)
class Finished:
    """A program that has run to its end, and the CPU time that it took."""

    output: str
    cpu_seconds: float


class Stage:
    """One folder, and the programs started in it. What they print goes to files there."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="shuttle-perf-")))
        self._count = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def file(self, name: str, content: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(content)
        return path

    def start(
        self, command: Sequence[str], listens: set[tuple[str, int]], environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a program and waits until it listens where it should; it ends with the stage, or before by `end`."""
        self._count += 1
        log = self.folder / f"{self._count}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )
        self._stack.callback(end, process)

        def is_ready() -> bool:
            if process.poll() is not None:
                raise Failure(f"{' '.join(command)}: ended with {process.returncode}:\n{tail(log)}")
            return listens <= sockets.listening()

        if not wait_until(is_ready, READY_SECONDS):
            raise Failure(f"{' '.join(command)}: does not listen after {READY_SECONDS:.0f} s:\n{tail(log)}")
        return process

    def at_end(self, action: Callable[[], None]) -> None:
        """`action` is done with the stage's end, before what was started earlier is ended."""
        self._stack.callback(action)

    def run(
        self, command: Sequence[str], seconds: float, meanwhile: Callable[[float], float] | None = None
    ) -> Finished:
        """Runs a program to its end. `meanwhile` is called with the time since its start and says when it is due next."""
        self._count += 1
        path = self.folder / f"{self._count}.output"
        with open(path, "wb") as output:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        began = time.monotonic()
        try:
            usage = _wait(process, began + seconds, meanwhile, began)
        finally:
            if process.returncode is None:
                end(process)
        text = path.read_text(errors="replace")
        path.unlink()
        if usage is None:
            raise Failure(f"{' '.join(command)}: has not ended after {seconds:.0f} s:\n{text[-LOG_TAIL:]}")
        if process.returncode != 0:
            raise Failure(f"{' '.join(command)}: ended with {process.returncode}:\n{text[-LOG_TAIL:]}")
        return Finished(text, usage)


def _wait(
    process: subprocess.Popen[bytes], deadline: float, meanwhile: Callable[[float], float] | None, began: float
) -> float | None:
    """Waits for the end by the process's descriptor, so that nothing wakes up in between; returns its CPU time."""
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        due = meanwhile(0.0) if meanwhile else float("inf")
        while True:
            now = time.monotonic()
            if now >= deadline:
                return None
            if poll.poll(max(0.0, min(deadline, began + due) - now) * 1000):
                break
            if meanwhile and time.monotonic() - began >= due:
                due = meanwhile(time.monotonic() - began)
    finally:
        os.close(descriptor)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(is_true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True


def wait_for_rest(connections: int) -> None:
    """Waits until there are no more than so many connections: everybody has seen the end of the last run."""
    if not wait_until(lambda: sockets.connections() <= connections, REST_SECONDS):
        left = subprocess.run(["ss", "-tnHp"], capture_output=True, text=True, check=False).stdout
        count = sockets.connections() - connections
        raise Failure(f"{count} connections are left {REST_SECONDS:.0f} s after the load has ended:\n{left[:LOG_TAIL]}")


def tail(path: pathlib.Path) -> str:
    return path.read_text(errors="replace")[-LOG_TAIL:]
