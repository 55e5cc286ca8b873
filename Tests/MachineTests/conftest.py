"""Tests that run under a real systemd, in the machine of scripts/machine: they install the package, and leave nothing to other tests.

Run by `scripts/test --machine`. Never on a machine that somebody uses: they install, start, stop and purge shuttled.
"""

from __future__ import annotations

import glob
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: scripts/machine calls it so. Elsewhere nothing is touched.
HOSTNAME = "shuttle-machine"
ADMIN = "http://127.0.0.1:9090"
STATE = Path("/var/lib/shuttle/state.json")
CONFIG = Path("/etc/shuttle/shuttle.json")
DEFAULTS = Path("/etc/default/shuttled")
DROP_IN = Path("/etc/systemd/system/shuttled.service.d/test.conf")
SOCKET_UNIT = Path("/etc/systemd/system/shuttled.socket")
#: The machine is emulated.
SECONDS = 120.0


def pytest_sessionstart(session: pytest.Session) -> None:
    if socket.gethostname() != HOSTNAME:
        pytest.exit("these tests install and purge shuttled: run them by scripts/test --machine", 2)


def run(*command: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 3, **options)  # type: ignore[call-overload]
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{journal()[-3000:]}"
    return done


def systemctl(*arguments: str, check: bool = True) -> str:
    return run("systemctl", *arguments, check=check).stdout


def shown(name: str, unit: str = "shuttled.service") -> str:
    return systemctl("show", "--value", f"--property={name}", unit).strip()


def journal() -> str:
    return subprocess.run(
        ["journalctl", "--no-pager", "-u", "shuttled", "-o", "cat"], capture_output=True, text=True, timeout=SECONDS).stdout


def eventually(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}\n{systemctl('status', 'shuttled', check=False)}\n{journal()[-3000:]}"
        time.sleep(0.2)


def ask(method: str, path: str, body: object = None) -> object:
    request = urllib.request.Request(
        ADMIN + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return json.loads(response.read() or b"null")


def main_pid() -> int:
    return int(shown("MainPID"))


@pytest.fixture(scope="session")
def package() -> str:
    found = sorted(glob.glob(os.environ["SHUTTLE_PACKAGES"] + "/shuttled_*.deb"))
    assert len(found) == 2, f"two versions are needed: {found}"
    return found[0]


@pytest.fixture(scope="session")
def newer_package(package: str) -> str:
    return sorted(glob.glob(os.environ["SHUTTLE_PACKAGES"] + "/shuttled_*.deb"))[1]


def install(path: str) -> str:
    done = run("dpkg", "--install", "--force-confold", path, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return done.stdout + done.stderr


@pytest.fixture
def installed(package: str) -> Iterator[None]:
    """The package as it comes, running; gone afterwards."""
    install(package)
    try:
        yield
    finally:
        systemctl("stop", "shuttled.socket", check=False)
        for file in (DROP_IN, SOCKET_UNIT):
            file.unlink(missing_ok=True)
        systemctl("daemon-reload")
        run("dpkg", "--purge", "shuttled")
        systemctl("reset-failed", check=False)


def settings(**values: str) -> None:
    """Lines of /etc/default/shuttled."""
    DEFAULTS.write_text("".join(f"SHUTTLED_{name}={value}\n" for name, value in values.items()))


def drop_in(text: str) -> None:
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(f"[Service]\n{text}\n")
    systemctl("daemon-reload")


class Echo:
    """A backend in this process."""

    def __init__(self) -> None:
        import threading

        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        import threading

        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.socket.close()


def service(name: str, address: str, backend: str) -> dict[str, object]:
    return {"name": name, "address": address, "backends": [{"name": "b", "address": backend}]}


def echoes(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, timeout=SECONDS) as client:
        client.sendall(b"hello")
        return client.recv(5) == b"hello"
