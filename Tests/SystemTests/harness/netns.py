"""Owns a network namespace: a network of its own, with its own port range and addresses, for one scenario.

The scenario runs in a thread that has moved there. Sockets, threads and programs it starts are there as well, and the
other tests are not.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable

from harness.patience import patient

CLONE_NEWNET = 0x40000000
SCENARIO_SECONDS = patient(60.0)

_libc = ctypes.CDLL(None, use_errno=True)


def is_possible() -> bool:
    return os.geteuid() == 0


class NetworkNamespace:
    """Exists between `with` and its end; loopback is up."""

    def __init__(self, port_range: tuple[int, int] | None = None) -> None:
        self.name = f"shuttle-test-{os.getpid()}-{threading.get_ident() & 0xFFFF}"
        self._port_range = port_range

    def __enter__(self) -> NetworkNamespace:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        if self._port_range is not None:
            low, high = self._port_range
            self.run(lambda: _write("/proc/sys/net/ipv4/ip_local_port_range", f"{low} {high}"))
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "delete", self.name)

    def run(self, scenario: Callable[[], None]) -> None:
        """Runs `scenario` in here, and raises what it raises."""
        faults: list[BaseException] = []

        def body() -> None:
            try:
                self._enter()
                scenario()
            except BaseException as error:  # noqa: B902 - raised by the thread that waits
                faults.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(SCENARIO_SECONDS)
        if faults:
            raise faults[0]
        assert not thread.is_alive(), "the scenario does not end"

    def _enter(self) -> None:
        handle = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if _libc.setns(handle, CLONE_NEWNET) != 0:
                code = ctypes.get_errno()
                raise OSError(code, f"setns: {os.strerror(code)}")
        finally:
            os.close(handle)


def _write(path: str, text: str) -> None:
    # /proc/sys/net shows the namespace of the thread that opens it.
    with open(path, "w") as file:
        file.write(text)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
