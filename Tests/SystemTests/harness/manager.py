"""Owns what a service manager hears from a program, by sd_notify(3). Handing sockets over is handing's; systemd itself is in
Tests/MachineTests.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from harness.wait import DEADLINE_SECONDS


class Manager:
    """Listens at `place` (a path, or `@` and a name) for what it is told."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + place[1:] if place.startswith("@") else place)
        if not place.startswith("@"):
            os.chmod(place, 0o777)
        self.told: list[dict[str, str]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.place}

    def next(self, seconds: float = DEADLINE_SECONDS) -> dict[str, str]:
        """The next thing that it is told, by the names of the lines."""
        self._socket.settimeout(seconds)
        text = self._socket.recv(65536).decode()
        message = dict(line.split("=", 1) for line in text.split("\n"))
        self.told.append(message)
        return message

    def until(self, name: str, value: str | None = None, seconds: float = DEADLINE_SECONDS) -> dict[str, str]:
        """The next message that has this line."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"was not told {name}={value} within {seconds} s, but {self.told}")
            try:
                message = self.next(left)
            except TimeoutError:
                raise AssertionError(f"was not told {name}={value} within {seconds} s, but {self.told}") from None
            if name in message and value in (None, message[name]):
                return message

    def take_in(self) -> None:
        """Hears what was told until now."""
        while True:
            try:
                self.next(0.001)
            except TimeoutError:
                return

    def hears_nothing_of(self, name: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.next(left)
            except TimeoutError:
                return
            assert name not in message, message

    def close(self) -> None:
        self._socket.close()
        if not self.place.startswith("@"):
            Path(self.place).unlink(missing_ok=True)
